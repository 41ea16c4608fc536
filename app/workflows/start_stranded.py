"""Sees to the end of orders whose workflow could not be started, on a schedule."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.stranded import StrandedActivities
    from app.temporal import policies


@workflow.defn
class StartStrandedWorkflow:
    """One pass over the orders, page by page."""

    @workflow.run
    async def run(self) -> int:
        seen = 0
        after: str | None = ""
        while after is not None:
            page = await workflow.execute_activity_method(
                StrandedActivities.start_stranded,
                after,
                summary=f"Start stranded orders, behind {after or 'the first'}",
                **policies.FULFIL,
            )
            seen += page.seen
            after = page.after
        return seen
