"""Methods whose payer is sent elsewhere to say yes: they bring hardly anything along."""

from sandbox.drafts import Draft
from sandbox.forms import Params

IDEAL_PARAMS = frozenset({"bank"})
# The banks that take part, and their BICs.
_BANKS = {
    "abn_amro": "ABNANL2A",
    "adyen": "ADYBNL2A",
    "asn_bank": "ASNBNL21",
    "bunq": "BUNQNL2A",
    "buut": "BUUTNL2A",
    "finom": "FNOMNL22",
    "handelsbanken": "HANDNL2A",
    "ing": "INGBNL2A",
    "knab": "KNABNL2H",
    "mollie": "MLLENL2A",
    "moneyou": "MOYONL21",
    "n26": "NTSBDEB1",
    "nn": "NNBANL2G",
    "rabobank": "RABONL2U",
    "regiobank": "RBRBNL21",
    "revolut": "REVOLT21",
    "sns_bank": "SNSBNL2A",
    "triodos_bank": "TRIONL2U",
    "van_lanschot": "FVLBNL22",
    "yoursafe": "BITSNL2A",
}


def ideal(params: Params | None) -> Draft:
    """The payer may have chosen a bank already."""
    bank = None if params is None else params.choice("bank", tuple(_BANKS))
    return Draft("ideal", {"bank": bank, "bic": None if bank is None else _BANKS[bank]})


def klarna() -> Draft:
    return Draft("klarna", {"dob": None})


def paypal() -> Draft:
    """Whose account it is, PayPal tells once the payer has agreed."""
    return Draft("paypal", {"country": None, "payer_email": None, "payer_id": None})
