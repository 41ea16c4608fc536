"""Sees to the end of orders whose workflow could not be started, on a schedule."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.pages import PageDone
    from app.activities.stranded import StrandedActivities
    from app.temporal import policies
    from app.workflows.pages import through


@workflow.defn
class StartStrandedWorkflow:
    """One pass over the orders."""

    @workflow.run
    async def run(self) -> int:
        return await through(_page)


async def _page(after: str | None) -> PageDone:
    return await workflow.execute_activity_method(
        StrandedActivities.start_stranded,
        after or "",
        summary=f"Start stranded orders, behind {after or 'the first'}",
        **policies.FULFIL,
    )
