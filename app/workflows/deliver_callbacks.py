"""Empties the callback inbox, on a schedule: what the API could not deliver at once."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.callbacks import CallbackActivities
    from app.activities.pages import PageDone
    from app.temporal import policies
    from app.workflows.pages import through


@workflow.defn
class DeliverCallbacksWorkflow:
    """One pass over the inbox."""

    @workflow.run
    async def run(self) -> int:
        return await deliver_callbacks()


async def deliver_callbacks() -> int:
    """Deliver all that waits in the inbox; how much that was."""
    return await through(_page)


async def _page(after: str | None) -> PageDone:
    return await workflow.execute_activity_method(
        CallbackActivities.deliver_callbacks,
        after or "",
        summary=f"Deliver waiting callbacks, behind {after or 'the first order'}",
        **policies.FULFIL,
    )
