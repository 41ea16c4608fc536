"""Erases personal data in time, on a schedule."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.pages import PageDone
    from app.activities.personal_data import PersonalDataActivities
    from app.temporal import policies
    from app.workflows.pages import through


@workflow.defn
class ErasePersonalDataWorkflow:
    """One pass over the orders."""

    @workflow.run
    async def run(self) -> int:
        return await through(_page)


async def _page(after: str | None) -> PageDone:
    return await workflow.execute_activity_method(
        PersonalDataActivities.erase_personal_data,
        after or "",
        summary=f"Erase personal data, behind {after or 'the first order'}",
        **policies.FULFIL,
    )
