"""The small disk: full to the last block, and as before once it is emptied."""

import errno
from pathlib import Path

import pytest

from chaos.disk import BLOCK_BYTES, SmallDisk


def test_filled_it_takes_nothing_more_until_it_is_emptied(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk")
    disk.mount()
    if disk.why_not is not None:
        assert disk.folder.is_dir()
        pytest.skip(disk.why_not)
    try:
        (disk.folder / "kept").write_text("kept")
        assert disk.fill() > 0
        with pytest.raises(OSError, match="space") as full:
            (disk.folder / "more").write_bytes(bytes(2 * BLOCK_BYTES))
        assert full.value.errno == errno.ENOSPC
        disk.empty()
        (disk.folder / "more").write_bytes(bytes(2 * BLOCK_BYTES))
        disk.mount()  # as after a run that was killed
        disk.keep(tmp_path / "copy")
    finally:
        disk.unmount()
    assert (tmp_path / "copy" / "kept").read_text() == "kept"
    assert list(disk.folder.iterdir()) == []
