"""The payer's bank or wallet, played by a page: approve, refuse or walk away."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.confirmation import answer_challenge
from sandbox.context import Context
from sandbox.currencies import readable
from sandbox.store import Json, Record

_PATH = "/challenge/{intent}/{challenge}"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox: %(brand)s</title>
<style>
  :root { --brand: %(colour)s; }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; color: #1d2433;
         padding: 1rem; background: #eef1f6; font: 16px/1.5 system-ui, sans-serif; }
  main { width: min(26rem, 100%%); background: #fff; border-radius: 14px; overflow: hidden;
         box-shadow: 0 12px 40px #1d243326; }
  .notice { margin: 0; background: #fef3c7; color: #7c2d12; padding: .6rem 1.5rem;
            font-size: .875rem; text-align: center; }
  header { background: var(--brand); color: #fff; padding: 1rem 1.5rem; font-size: 1.125rem;
           font-weight: 700; letter-spacing: .01em; }
  section { padding: 1.5rem; }
  h1 { margin: 0 0 .5rem; font-size: 1.25rem; line-height: 1.3; }
  p { margin: .5rem 0; }
  .amount { font-size: 2rem; font-weight: 600; margin: 1rem 0 0; line-height: 1.2; }
  .source { color: #55607a; margin: 0; }
  form { display: grid; gap: .6rem; margin-top: 1.5rem; }
  button { font: inherit; padding: .7rem; border-radius: 8px; border: 1px solid #8791a5;
           background: #fff; color: inherit; cursor: pointer; }
  button:hover { filter: brightness(.95); }
  button:focus-visible { outline: 3px solid #2563eb; outline-offset: 2px; }
  button[value=approve] { background: #15803d; border-color: #15803d; color: #fff;
                          font-weight: 600; }
  button[value=fail], button[value=cancel] { color: #b91c1c; border-color: #b91c1c; }
</style></head>
<body><main><p class="notice">Sandbox: no real bank, no real money</p>
<header>%(brand)s</header>
<section>%(content)s</section></main></body></html>
"""
_QUESTION = """<h1>%(title)s</h1>
<p>%(explanation)s</p>
<p class="amount">%(amount)s</p><p class="source">%(source)s</p>
<form method="post">
<button name="outcome" value="approve">Approve</button>
<button name="outcome" value="%(refusal)s">%(refusal_label)s</button>
<button name="outcome" value="close">Close</button>
</form>"""
_OVER = "<h1>Nothing left to confirm</h1><p>This payment was answered or replaced.</p>"
_DONE = "<h1>Thank you</h1><p>The answer is noted: %s. You can close this page.</p>"


@dataclass(frozen=True)
class _Brand:
    """Whom the page plays, and what the payer is asked there."""

    name: str
    colour: str
    title: str
    explanation: str
    refusal: str = "cancel"


_SANDBOX = _Brand("Sandbox", "#475569", "", "")
_BRANDS = {
    "card": _Brand(
        "Your bank",
        "#1e3a8a",
        "Confirm your payment",
        "Your bank would ask you here whether this payment is yours.",
        refusal="fail",
    ),
    "ideal": _Brand(
        "iDEAL", "#a8005f", "Pay with iDEAL", "Your bank would ask you here to make this payment."
    ),
    "klarna": _Brand(
        "Klarna", "#7a2147", "Pay with Klarna", "Klarna would offer you here to pay later."
    ),
    "paypal": _Brand(
        "PayPal", "#003087", "Pay with PayPal", "PayPal would ask you here to log in and agree."
    ),
}


class Pages:
    """Serves the challenge that a PaymentIntent's next_action points at."""

    def __init__(self, context: Context, after_commit: Callable[[], None]) -> None:
        self._context = context
        self._after_commit = after_commit

    def routes(self) -> list[BaseRoute]:
        return [
            Route(_PATH, self._ask, methods=["GET"]),
            Route(_PATH, self._answer, methods=["POST"]),
        ]

    async def _ask(self, request: Request) -> Response:
        record = self._open_challenge(request)
        if record is None:
            return _page(_OVER, status=410)
        intent = record.body
        method = self._context.get("payment_method", intent["payment_method"]).body
        brand = _BRANDS[method["type"]]
        content = _QUESTION % {
            "title": brand.title,
            "explanation": brand.explanation,
            "amount": html.escape(readable(intent["amount"], intent["currency"])),
            "source": html.escape(_source(method)),
            "refusal": brand.refusal,
            "refusal_label": brand.refusal.capitalize(),
        }
        return _page(content, brand)

    async def _answer(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        outcome = form.get("outcome", [""])[0]
        if outcome not in ("approve", "fail", "cancel", "close"):
            return _page("<h1>Choose one of the buttons</h1>", status=400)
        record = self._open_challenge(request)
        if record is None:
            return _page(_OVER, status=410)
        intent = record.body
        if outcome != "close":
            with self._context.store.transaction():
                answer_challenge(self._context, intent, approved=outcome == "approve")
            self._after_commit()
        status = _redirect_status(intent)
        if record.private["return_url"] is None:
            return _page(_DONE % status)
        target = _with_outcome(record.private["return_url"], intent, status)
        return RedirectResponse(target, status_code=303, headers=_HEADERS)

    def _open_challenge(self, request: Request) -> Record | None:
        record = self._context.store.find("payment_intent", request.path_params["intent"])
        if record is None or record.body["status"] != "requires_action":
            return None
        current = record.private.get("challenge") == request.path_params["challenge"]
        return record if current else None


def _redirect_status(intent: Json) -> str:
    statuses = {"requires_action": "pending", "requires_payment_method": "failed"}
    return statuses.get(intent["status"], "succeeded")


def _with_outcome(return_url: str, intent: Json, status: str) -> str:
    parts = urlsplit(return_url)
    added = urlencode(
        {
            "payment_intent": intent["id"],
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": status,
        }
    )
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _source(method: Json) -> str:
    """What the payer pays with, as far as it is known before they agree."""
    match method["type"]:
        case "card":
            return f"Card ending in {method['card']['last4']}"
        case "ideal":
            bank = method["ideal"]["bank"]
            return "Any bank" if bank is None else f"Bank: {bank.replace('_', ' ')}"
        case _:
            return method["billing_details"]["email"] or "Any account"


def _page(content: str, brand: _Brand = _SANDBOX, *, status: int = 200) -> Response:
    page = _FRAME % {"brand": brand.name, "colour": brand.colour, "content": content}
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
