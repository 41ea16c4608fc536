"""A disk of its own for the database, small enough to be filled to the last byte."""

import os
import shutil
import subprocess
from pathlib import Path

SIZE_MEGABYTES = 768
BLOCK_BYTES = 4096


class SmallDisk:
    """`folder`, on a file system in memory where root may mount one; else an ordinary folder.

    `why_not` says why it cannot be filled; None where it can.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.why_not: str | None = "not mounted yet"
        self._ballast = folder / "ballast"

    def mount(self) -> None:
        """Have it there, empty or as it was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            self.why_not = "only root may mount a small disk"
            return
        if self.folder.is_mount():  # left by a run that was killed
            self.why_not = None
            return
        size = f"size={SIZE_MEGABYTES}m,mode=0755"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.folder)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        self.why_not = made.stderr.strip() if made.returncode else None

    def fill(self) -> int:
        """Leave no byte free; how many were."""
        taken, piece = 0, 64 * 1024 * 1024
        with self._ballast.open("wb") as ballast:
            while piece >= BLOCK_BYTES:  # the database writes meanwhile
                try:
                    os.posix_fallocate(ballast.fileno(), taken, piece)
                except OSError:
                    piece //= 2
                else:
                    taken += piece
        return taken

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, and what is on it."""
        if self.folder.is_mount():
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)  # noqa: S607

    def keep(self, folder: Path) -> None:
        """Copy what is on it to where it stays."""
        if self.folder.is_mount():
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
