"""Payments that were under way before a change go on after it: saved histories are replayed, though
they are from before anything was encrypted."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from app.temporal.codec import encrypting
from tests.conftest import settings_with
from tests.workflows.changed import CapturesFirst
from tests.workflows.save_histories import HISTORIES
from tests.workflows.scenarios import SAVED
from worker import WORKFLOWS

_SAVED = sorted(HISTORIES.glob("*.json"))


def _history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text())


def test_every_scenario_has_its_saved_history() -> None:
    assert {file.stem for file in _SAVED} >= {scenario.__name__ for scenario in SAVED}


@pytest.mark.parametrize("file", _SAVED, ids=lambda file: file.stem)
async def test_a_saved_payment_goes_on_with_todays_workflow(file: Path) -> None:
    converter = encrypting(settings_with().keyring())
    replayer = Replayer(workflows=WORKFLOWS, data_converter=converter)
    await replayer.replay_workflow(_history(file))


async def test_an_incompatible_change_is_caught() -> None:
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[CapturesFirst]).replay_workflow(
            _history(HISTORIES / "a_happy_path.json")
        )
