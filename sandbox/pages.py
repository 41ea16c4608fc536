"""The payer's bank, played by a page: approve, fail or walk away from a 3-D Secure challenge."""

import html
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.attempts import answer_challenge
from sandbox.context import Context
from sandbox.currencies import readable
from sandbox.store import Json, Record

_PATH = "/challenge/{intent}/{challenge}"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox bank</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; color: #1d2433;
         background: #eef1f6; font: 16px/1.5 system-ui, sans-serif; }
  main { width: min(26rem, 90vw); background: #fff; border-radius: 14px; overflow: hidden;
         box-shadow: 0 12px 40px #1d243326; }
  header { background: #b45309; color: #fff; padding: .7rem 1.5rem; font-size: .9rem; }
  section { padding: 1.5rem; }
  h1 { margin: 0 0 .5rem; font-size: 1.25rem; }
  .amount { font-size: 2rem; font-weight: 600; margin: 1rem 0; }
  form { display: grid; gap: .6rem; margin-top: 1.5rem; }
  button { font: inherit; padding: .7rem; border-radius: 8px; border: 1px solid #c6ccd8;
           background: #fff; cursor: pointer; }
  button[value=approve] { background: #15803d; border-color: #15803d; color: #fff; }
  button[value=fail] { color: #b91c1c; border-color: #b91c1c; }
</style></head>
<body><main><header>Sandbox: no real bank, no real money</header>
<section>%s</section></main></body></html>
"""
_QUESTION = """<h1>Confirm your payment</h1>
<p>Your bank would ask you here whether this payment is yours.</p>
<p class="amount">%s</p><p>Card ending in %s</p>
<form method="post">
<button name="outcome" value="approve">Approve</button>
<button name="outcome" value="fail">Fail</button>
<button name="outcome" value="close">Close</button>
</form>"""
_OVER = "<h1>Nothing left to confirm</h1><p>This challenge was answered or replaced.</p>"
_DONE = "<h1>Thank you</h1><p>The answer is noted: %s. You can close this page.</p>"


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
            return _page(_OVER, 410)
        intent = record.body
        method = self._context.get("payment_method", intent["payment_method"]).body
        amount = readable(intent["amount"], intent["currency"])
        return _page(_QUESTION % (html.escape(amount), html.escape(method["card"]["last4"])))

    async def _answer(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        outcome = form.get("outcome", [""])[0]
        if outcome not in ("approve", "fail", "close"):
            return _page("<h1>Choose one of the buttons</h1>", 400)
        record = self._open_challenge(request)
        if record is None:
            return _page(_OVER, 410)
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


def _page(content: str, status: int = 200) -> Response:
    return HTMLResponse(_FRAME.replace("%s", content), status_code=status, headers=_HEADERS)
