"""The page on which an operator logs in. No script, and nothing from elsewhere."""

from html import escape

from fastapi.responses import HTMLResponse

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def logged_out(fault: str | None = None, status: int = 200) -> HTMLResponse:
    """The form, below what was wrong with the last try."""
    told = f'<p role="alert"><strong>{escape(fault)}</strong></p>' if fault is not None else ""
    return _page(
        f"""{told}
<p>What Temporal keeps is encrypted. Log in, and for an hour its UI shows it to this browser in
clear.</p>
<form method="post" action="login">
<p><label>API key with the scope operator<br>
<input type="password" name="key" size="70" autocomplete="off" required autofocus></label></p>
<p><button>Log in</button></p>
</form>""",
        status,
    )


def logged_in(client: str, address: str, ui: str) -> HTMLResponse:
    """For `client`, at this server's `address`, with the way to the Temporal UI."""
    return _page(
        f"""<p>Logged in as {escape(client)}: <a href="{escape(ui)}">the Temporal UI</a> shows this
browser what is encrypted.</p>
<p>If it does not, tell it once: in its <em>Codec Server</em> settings (the glasses, top right),
choose <em>Use my browser setting</em>, enter <code>{escape(address)}</code> and switch on
<em>Include cross-origin credentials</em>.</p>
<form method="post" action="logout"><p><button>Log out</button></p></form>""",
        200,
    )


def _page(body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tillflow: payloads in clear</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
input {{ max-width: 100%; font: inherit }}</style>
<h1>Payloads in clear</h1>
{body}
</html>
""",
        status,
        # With no referrer at all, browsers do not say either that the form is our own page's.
        {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"},
    )
