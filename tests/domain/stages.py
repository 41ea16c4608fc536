"""How far along a payment is."""

from app.domain.facts import Event
from app.domain.payment import BEFORE_MONEY, State

# How much went back is told by the totals: states that differ in nothing else are one stage.
_STAGES = (
    *((state,) for state in BEFORE_MONEY),
    (State.EXPIRED,),
    (State.AUTHORIZED,),
    (State.VOIDED,),
    (State.CAPTURED,),
    (State.PARTIALLY_REFUNDED, State.REFUNDED),
    (State.DISPUTED, State.CHARGED_BACK),
)
STAGE = {state: number for number, stage in enumerate(_STAGES) for state in stage}

GIVES_MONEY_BACK_TO_US = frozenset({Event.REFUND_FAILED, Event.DISPUTE_WON})
