"""The running stack, one for `api`, `doors` and `walk` together."""

import pytest

from tests.walk import running


def pytest_configure(config: pytest.Config) -> None:
    # A fixture imported into two conftests would be two stacks.
    if not config.pluginmanager.has_plugin(running.__name__):
        config.pluginmanager.register(running, running.__name__)
