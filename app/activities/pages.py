"""Work on a long list, a page at a time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PageDone:
    """`count` is how many of the page were what its work is about; `after` is where the next page
    begins, None after the last."""

    count: int
    after: str | None = None
