"""`python -m tests.workflows.save_histories`: live each scenario that is new and save its history.

`--all` replaces every saved history. Do that after a change that workflows on their way do not have
to survive, and only then: the histories that are there stand for payments that were under way
before the change.
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path

from temporalio.client import Client

from app.db.engine import create_engine
from app.db.migrate import migrate
from app.embedded.ports import free_port
from app.embedded.postgres import PostgresPart
from app.embedded.supervisor import Supervisor
from app.embedded.temporal import TemporalPart
from tests.sandbox.program import Sandbox
from tests.workflows.scenarios import SAVED
from tests.workflows.shop import Placed, open_shop
from tests.workflows.stand_ins import StandIn

HISTORIES = Path(__file__).parent / "histories"
# They tell where and by whom a history was made, and nothing that replaying needs.
_NOT_SAVED = re.compile(r"identity|stackTrace|binaryChecksum")


async def save(*, everything: bool) -> None:
    """Save the history of each scenario that has none, or of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres = PostgresPart(folder, free_port())
        temporal = TemporalPart(folder, free_port(), free_port(), time_skipping=True)
        sandbox = Sandbox(folder, folder / "exchanges.jsonl")
        async with Supervisor(folder) as supervisor:
            await supervisor.start(postgres, temporal)
            await sandbox.start()
            await asyncio.to_thread(migrate, postgres.url)
            engine = create_engine(postgres.url)
            # Nothing is encrypted, so that a history can be read.
            client = await Client.connect(temporal.address, identity="tests")
            gateway = StandIn(sandbox)
            async with open_shop(client, engine, sandbox, gateway) as shop:
                for live in SAVED:
                    file = HISTORIES / f"{live.__name__}.json"
                    if file.exists() and not everything:
                        continue
                    lived = await live(shop)
                    workflow = lived.workflow if isinstance(lived, Placed) else lived
                    history = (await workflow.fetch_history()).to_json_dict()
                    file.write_text(json.dumps(_cleaned(history), indent=1) + "\n")
                    print(file.name, len(history["events"]), "events")  # noqa: T201
            await gateway.close()
            await engine.dispose()
            await sandbox.close()


def _cleaned(value: object) -> object:
    if isinstance(value, dict):
        return {k: _cleaned(v) for k, v in value.items() if not _NOT_SAVED.fullmatch(k)}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


if __name__ == "__main__":
    asyncio.run(save(everything="--all" in sys.argv))
