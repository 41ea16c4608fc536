"""Bank accounts that are debited: IBANs, and accounts in the United States.

A number lives only in the memory of the request that carries it. What is kept is the last four
characters, the bank's and branch's codes, the country, a keyed fingerprint, and the *behaviour*:
`ok`, or `fails:` and the reason that the bank gives days later. Every account is taken as verified.
"""

import re

from sandbox.drafts import Draft
from sandbox.errors import invalid
from sandbox.fingerprints import fingerprint
from sandbox.forms import Params
from sandbox.store import Json

SEPA_PARAMS = frozenset({"iban"})
US_PARAMS = frozenset({"account_holder_type", "account_number", "account_type", "routing_number"})

FAILURES = {
    "insufficient_funds": "The account has insufficient funds.",
    "generic_could_not_process": "The bank could not process the debit.",
}
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_ROUTING = re.compile(r"[0-9]{9}")
_ACCOUNT = re.compile(r"[0-9]{4,17}")
# Where the codes of bank and branch stand in an IBAN of the country.
_CODES = {
    "AT": (slice(4, 9), slice(0)),
    "BE": (slice(4, 7), slice(0)),
    "DE": (slice(4, 12), slice(0)),
    "ES": (slice(4, 8), slice(8, 12)),
    "FR": (slice(4, 9), slice(9, 14)),
    "IT": (slice(5, 10), slice(10, 15)),
    "NL": (slice(4, 8), slice(0)),
}
_BEHAVIOURS = {
    "AT861904300235473202": "fails:generic_could_not_process",
    "000222222227": "fails:insufficient_funds",
}
_TEST_ROUTING = "110000000"
_TEST_PAYER = {"name": "A. Payer", "email": "payer@example.com"}


def sepa_debit(params: Params, key: bytes) -> Draft:
    """An account in Europe. Raises ApiError (400) for an IBAN whose check digits are wrong."""
    iban = params.required_text("iban").replace(" ", "").upper()
    if not (_IBAN.fullmatch(iban) and _checks(iban)):
        raise invalid("The IBAN is not valid.", "invalid_bank_account_iban", params.name("iban"))
    return _european(iban, key)


def us_bank_account(params: Params, key: bytes) -> Draft:
    """An account in the United States. Raises ApiError (400) for numbers that cannot be right."""
    routing, account = params.required_text("routing_number"), params.text("account_number")
    if not (_ROUTING.fullmatch(routing) and _routes(routing)):
        message = "The routing number is not valid."
        raise invalid(message, "routing_number_invalid", params.name("routing_number"))
    if account is None:
        raise params.absent("account_number")
    if not _ACCOUNT.fullmatch(account):
        message = "The account number is not valid."
        raise invalid(message, "account_number_invalid", params.name("account_number"))
    holder = params.choice("account_holder_type", ("company", "individual"))
    if holder is None:
        raise params.absent("account_holder_type")
    kind = params.choice("account_type", ("checking", "savings")) or "checking"
    return _american(routing, account, key, holder, kind)


def ready_made_account(method_id: str, key: bytes) -> Draft | None:
    """The account behind `pm_usBankAccount_success` and its like; None for no such."""
    match method_id:
        case "pm_sepaDebit_success":
            return _european("AT611904300234573201", key, _TEST_PAYER)
        case "pm_sepaDebit_failed":
            return _european("AT861904300235473202", key, _TEST_PAYER)
        case "pm_usBankAccount_success":
            return _american(_TEST_ROUTING, "000123456789", key, billing=_TEST_PAYER)
        case "pm_usBankAccount_insufficientFunds":
            return _american(_TEST_ROUTING, "000222222227", key, billing=_TEST_PAYER)
        case _:
            return None


def _european(iban: str, key: bytes, billing: Json | None = None) -> Draft:
    bank, branch = _CODES.get(iban[:2], (slice(0), slice(0)))
    details = {
        "bank_code": iban[bank] or None,
        "branch_code": iban[branch] or None,
        "country": iban[:2],
        "fingerprint": fingerprint(key, iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }
    return Draft("sepa_debit", details, _BEHAVIOURS.get(iban, "ok"), billing)


def _american(
    routing: str,
    account: str,
    key: bytes,
    holder: str = "individual",
    kind: str = "checking",
    billing: Json | None = None,
) -> Draft:
    details = {
        "account_holder_type": holder,
        "account_type": kind,
        "bank_name": "SANDBOX BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint(key, f"{routing}/{account}"),
        "last4": account[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing,
        "status_details": None,
    }
    return Draft("us_bank_account", details, _BEHAVIOURS.get(account, "ok"), billing)


def _checks(iban: str) -> bool:
    """The check of ISO 13616: letters count from 10, the country and check digits come last."""
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1


def _routes(routing: str) -> bool:
    """The check of a routing number: digits weighted 3, 7, 1 add up to a multiple of ten."""
    digits = zip(routing, (3, 7, 1) * 3, strict=True)
    return sum(int(digit) * weight for digit, weight in digits) % 10 == 0
