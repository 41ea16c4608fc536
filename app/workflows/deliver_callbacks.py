"""Empties the callback inbox, on a schedule: what the API could not deliver at once."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.callbacks import CallbackActivities
    from app.temporal import policies


@workflow.defn
class DeliverCallbacksWorkflow:
    """One pass over the inbox, page by page."""

    @workflow.run
    async def run(self) -> int:
        delivered = 0
        after: str | None = ""
        while after is not None:
            page = await workflow.execute_activity_method(
                CallbackActivities.deliver_callbacks,
                after,
                summary=f"Deliver waiting callbacks, behind {after or 'the first order'}",
                **policies.FULFIL,
            )
            delivered += page.delivered
            after = page.after
        return delivered
