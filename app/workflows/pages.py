"""Going through a long list in an activity, a page at a time."""

from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.pages import PageDone


async def through(page: Callable[[str | None], Awaitable[PageDone]]) -> int:
    """Page after page, from the first (None) on. What all of them counted."""
    done = await page(None)
    count = done.count
    while done.after is not None:
        done = await page(done.after)
        count += done.count
    return count
