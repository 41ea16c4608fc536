"""How the API is served: what uvicorn is told."""

from typing import Any

from app.api.connection import PatientConnection
from app.api.headers import STRICT_TRANSPORT
from app.config import DataSettings


def options(settings: DataSettings) -> dict[str, Any]:
    """For `uvicorn.run`, or `uvicorn.Config`; where it listens is for the caller to say."""
    return {
        "http": PatientConnection,
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": settings.trusted_proxies is not None,
        "forwarded_allow_ips": settings.trusted_proxies,
        "headers": [] if settings.embedded else [STRICT_TRANSPORT],
        # Longer than a client's or a load balancer's pool keeps a connection, so that it is not
        # closed under a request that is just being sent.
        "timeout_keep_alive": 75,
    }
