"""Empties the callback inbox, on a schedule: what the API could not deliver at once."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.callbacks import CallbackActivities
    from app.temporal import policies


@workflow.defn
class DeliverCallbacksWorkflow:
    """One pass over the inbox."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(
            CallbackActivities.deliver_callbacks,
            summary="Deliver waiting callbacks",
            **policies.FULFIL,
        )
