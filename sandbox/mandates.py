"""The payer's word that a bank account may be debited, as the caller says it was given."""

from sandbox.forms import Params

_ACCEPTANCE = frozenset({"accepted_at", "offline", "online", "type"})


def mandate_given(params: Params) -> bool:
    """Whether mandate_data is there. Raises ApiError (400) when it leaves something out."""
    data = params.group("mandate_data", frozenset({"customer_acceptance"}))
    if data is None:
        return False
    acceptance = data.group("customer_acceptance", _ACCEPTANCE)
    if acceptance is None:
        raise data.absent("customer_acceptance")
    kind = acceptance.choice("type", ("offline", "online"))
    if kind is None:
        raise acceptance.absent("type")
    acceptance.integer("accepted_at")
    if kind == "online":
        online = acceptance.group("online", frozenset({"ip_address", "user_agent"}))
        if online is None:
            raise acceptance.absent("online")
        online.required_text("ip_address")
        online.required_text("user_agent")
    return True
