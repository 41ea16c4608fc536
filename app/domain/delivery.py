"""How a delivery to the workflows fails."""


class DeliveryUnavailableError(Exception):
    """The workflow engine cannot be reached or does not answer in time. Deliver it again later: it
    may have arrived."""
