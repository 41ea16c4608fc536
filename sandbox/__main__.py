"""`python -m sandbox`: serve until told to stop."""

import logging
import signal
import sys
from types import FrameType

import uvicorn

from sandbox.app import build
from sandbox.connections import DroppableProtocol
from sandbox.settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; exits with 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # At DEBUG these write the body or the address of what is sent.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = Settings()
    config = uvicorn.Config(
        build(settings),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_cert_path,
        ssl_keyfile=settings.tls_key_path,
        http=DroppableProtocol,
        loop="asyncio",
        ws="none",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    # Uvicorn raises the signal again once it has stopped; stopping when asked is not a failure.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("sandbox").info("listening on %s", settings.base_url)
    uvicorn.Server(config).run()


def _stop(signum: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
