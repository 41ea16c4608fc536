"""The API process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.api import (
    callback_lists,
    callbacks,
    captures,
    docs_page,
    health,
    listing,
    methods,
    operators,
    payments,
    problems,
    reconciliations,
    refunds,
)
from app.api.access import DOORS, check_doors, with_keys
from app.api.addresses import NoCardsInAddresses
from app.api.audit import Audited
from app.api.body_limit import BodyLimit
from app.api.deliverers import Deliverers
from app.api.headers import SecurityHeaders
from app.api.settler import Settler
from app.config import ApiSettings
from app.logs import configure
from app.memory import keep_out_of_dumps
from app.wiring import Parts, build

DESCRIPTION = """\
Takes an order's payment and sees it through: authorized, confirmed, captured, fulfilled, or the
money given back. Errors are problem JSON (RFC 9457): what is wrong, where, and what to do.
"""

# The framework's own would tell others the addresses and the errors as they are.
_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(parts: Parts | None = None) -> FastAPI:
    """The API on `parts`, or on those that the environment describes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        built = parts or await _from_environment()
        app.state.parts = built
        app.state.audit = built.audit
        app.state.deliverers = Deliverers(built.delivery.deliver_waiting)
        app.state.settler = Settler(built.records, built.unsettled_attempts, built.attempt_limits)
        yield
        await app.state.deliverers.close()
        await app.state.settler.close()
        if parts is None:
            await built.close()

    # "Offline": the documentation page brings its own scripts and asks no other server for them.
    app = FastAPIOffline(
        title="Tillflow",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
        # Behind a proxy that speaks HTTPS it would send key and card after themselves in clear.
        redirect_slashes=False,
    )
    docs_page.install(app)
    problems.install(app)
    app.add_middleware(NoCardsInAddresses)
    app.add_middleware(BodyLimit)
    app.add_middleware(Audited, doors=DOORS)  # outside of all that answers
    app.add_middleware(SecurityHeaders)
    app.include_router(callbacks.router)
    app.include_router(callback_lists.router)
    app.include_router(payments.router)
    app.include_router(captures.router)
    app.include_router(refunds.router)
    app.include_router(operators.router)
    app.include_router(listing.router)
    app.include_router(methods.router)
    app.include_router(reconciliations.router)
    app.include_router(health.router)
    check_doors(app)
    app.openapi_schema = with_keys(problems.with_problems(app.openapi()))
    return app


async def _from_environment() -> Parts:
    keep_out_of_dumps()
    settings = ApiSettings()
    configure(settings.log_level)
    # Lazy: with Temporal away the API still takes callbacks and says what is missing.
    return await build(settings, lazy_temporal=True)
