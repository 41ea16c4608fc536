"""How a delivery to the workflows fails."""


class DeliveryUnavailableError(Exception):
    """The workflow engine cannot be reached or does not answer in time. Deliver it again later: it
    may have arrived."""


class Failures:
    """Failures in a row, among many orders: so many as `outage` are no longer those of the orders
    themselves."""

    def __init__(self, outage: int) -> None:
        self._outage = outage
        self._in_a_row = 0

    def are_an_outage(self) -> bool:
        """One more has failed. Whether everything does."""
        self._in_a_row += 1
        return self._in_a_row >= self._outage

    def end(self) -> None:
        """One did not fail."""
        self._in_a_row = 0
