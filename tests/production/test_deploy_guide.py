"""docs/deploy.md says what the code does."""

import re

from app.config import Settings
from app.gateways import stripe, stripe_callbacks
from tests.production.compose import DEPLOY as GUIDE
from tests.production.compose import example, services


def test_it_registers_the_events_that_the_gateway_reads() -> None:
    registered = re.findall(r"enabled_events\[\]=([a-z_.]+)", GUIDE)
    assert set(registered) == stripe_callbacks.EVENTS
    assert f"api_version={stripe.API_VERSION} " in GUIDE


def test_every_variable_that_it_names_exists() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]*[A-Z])(?:=[^`]*)?`", GUIDE))
    ui = services({})["temporal-ui"]["environment"]
    known = {name.upper() for name in Settings.model_fields} | example().keys() | ui.keys()
    known.add("STRIPE_LOG")  # of Stripe's library; we refuse to start with it
    named = {name.removesuffix("_FILE") for name in named}
    assert named
    assert named <= known
