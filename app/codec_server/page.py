"""The page on which an operator logs in. No script, and nothing from elsewhere."""

from html import escape

from fastapi.responses import HTMLResponse

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


_STYLE = """
:root { color-scheme: light }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
       background: #eef1f6; color: #1d2433; font: 16px/1.5 system-ui, sans-serif }
main { width: min(34rem, 100%); background: #fff; border-radius: 14px; overflow: hidden;
       box-shadow: 0 12px 40px #1d243326 }
header { padding: 1rem 1.5rem; background: #1e3a8a; color: #fff; font-weight: 700;
         font-size: 1.125rem }
section { padding: 1.5rem }
h1 { margin: 0 0 .5rem; font-size: 1.25rem; line-height: 1.3 }
p, ol { margin: .75rem 0 }
ol { padding-left: 1.25rem }
li + li { margin-top: .35rem }
[role=alert] { padding: .6rem .9rem; border-left: 4px solid #b91c1c; background: #fef2f2;
               color: #7f1d1d }
form { margin-top: 1.5rem }
label { display: block; font-weight: 600 }
input { display: block; width: 100%; margin-top: .35rem; padding: .6rem .75rem; font: inherit;
        border: 1px solid #8791a5; border-radius: 8px }
button, .button { display: inline-block; padding: .65rem 1.25rem; font: inherit; font-weight: 600;
                  border: 1px solid #1e3a8a; border-radius: 8px; background: #1e3a8a; color: #fff;
                  text-decoration: none; cursor: pointer }
button.quiet { background: #fff; color: #1e3a8a }
:is(button, .button):hover { filter: brightness(1.1) }
:is(button, .button, input):focus-visible { outline: 3px solid #2563eb; outline-offset: 2px }
code { padding: .1rem .35rem; border-radius: 4px; background: #eef1f6; overflow-wrap: anywhere }
.ways { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-top: 1.5rem }
.ways form { margin: 0 }
"""


def logged_out(fault: str | None = None, status: int = 200) -> HTMLResponse:
    """The form, below what was wrong with the last try."""
    told = f'<p role="alert">{escape(fault)}</p>' if fault is not None else ""
    return _page(
        f"""<p>What Temporal keeps is encrypted. Log in, and for an hour its UI shows it to this
browser in clear.</p>
{told}
<form method="post" action="login">
<label for="key">API key with the scope operator</label>
<input type="password" id="key" name="key" autocomplete="off" required autofocus>
<p><button>Log in</button></p>
</form>""",
        status,
    )


def logged_in(client: str, address: str, ui: str) -> HTMLResponse:
    """For `client`, at this server's `address`, with the way to the Temporal UI."""
    return _page(
        f"""<p>Logged in as {escape(client)}: the Temporal UI shows this browser
what is encrypted, until an hour after the log-in.</p>
<p>If it does not, tell it once where to ask:</p>
<ol>
<li>Open its <em>Codec Server</em> settings: the glasses, top right.</li>
<li>Choose <em>Use my browser setting</em> and enter <code>{escape(address)}</code></li>
<li>Switch on <em>Include cross-origin credentials</em>, and apply.</li>
</ol>
<div class="ways"><a class="button" href="{escape(ui)}">Open the Temporal UI</a>
<form method="post" action="logout"><button class="quiet">Log out</button></form></div>""",
        200,
    )


def _page(body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tillflow: payloads in clear</title>
<style>{_STYLE}</style>
<main><header>Tillflow</header>
<section><h1>Payloads in clear</h1>
{body}
</section></main>
</html>
""",
        status,
        # With no referrer at all, browsers do not say either that the form is our own page's.
        {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"},
    )
