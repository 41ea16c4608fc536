"""The one error of the embedded stack."""


class StackError(Exception):
    """Why the stack cannot run, in one line a person can act on.

    `detail` holds further lines worth showing, such as the end of a log.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
