"""`tillflow run`: the whole stack until it is told to stop, with a sample order to watch."""

import asyncio
import errno
import signal
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.errors import StackError
from app.embedded.ports import Ports
from app.embedded.sample import curl, follow_sample_order
from app.embedded.stack import Stack


class RunSettings(BaseSettings):
    """Where the embedded stack lives. Each field is an environment variable of that name."""

    port_base: int = Field(default=8700, ge=1024, le=65500)
    tillflow_home: Path = Path(".tillflow")


def run(*, once: bool) -> None:
    """Run the stack; returns after it was stopped, or with `once` after the sample order.

    Raises StackError with the reason when it cannot run, or when the order is not fulfilled.
    """
    settings = _settings()
    try:
        asyncio.run(_run(settings, once))
    except asyncio.CancelledError:
        if once:
            raise StackError("stopped before the sample order was fulfilled") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StackError(
                f"no space left on the disk of {settings.tillflow_home.absolute()}"
            ) from error
        raise StackError(str(error)) from error


def _settings() -> RunSettings:
    try:
        return RunSettings()
    except ValidationError as error:
        first = error.errors()[0]
        raise StackError(f"{str(first['loc'][0]).upper()}: {first['msg']}") from None


async def _run(settings: RunSettings, once: bool) -> None:
    _cancel_on_signals()
    stack = Stack(settings.tillflow_home, Ports.from_base(settings.port_base), _say)
    async with stack:
        try:
            _say(f"Tillflow starts in {stack.folder}")
            await stack.start()
            _show_addresses(stack)
            try:
                await follow_sample_order(stack.api_url, _say)
                _say("  The sample order is paid and fulfilled.")
            except StackError as error:
                if once:
                    raise
                _say(f"  {error}")
            if not once:
                _say("\nCtrl-C stops everything.")
                await asyncio.Event().wait()
        finally:
            _say("Stopping …")


def _cancel_on_signals() -> None:
    """Turn the first Ctrl-C or SIGTERM into an orderly stop, which later ones do not disturb."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None  # noqa: S101 - we are in it  # nosec B101
    asked: list[bool] = []

    def stop() -> None:
        if not asked:
            asked.append(True)
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _show_addresses(stack: Stack) -> None:
    addresses = {
        "API": stack.api_url,
        "API documentation": f"{stack.api_url}/docs",
        "Temporal UI": stack.temporal.ui_url,
        "… in clear": f"{stack.codec.url} (log in with {DEVELOPMENT_API_KEY})",
        "Sandbox gateway": stack.sandbox.url,
        "Mail": str(stack.mail.maildir / "new"),
        "Logs": str(stack.supervisor.logs),
    }
    _say("")
    for name, address in addresses.items():
        _say(f"  {name:<18} {address}")
    _say(f"\nPay for an order:\n\n{curl(stack.api_url)}\n")


def _say(line: str) -> None:
    print(line, flush=True)
