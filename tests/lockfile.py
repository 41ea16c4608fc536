"""The lock files: what pyproject.toml asks for, every package pinned, with hashes.

    python -m tests.lockfile           fails unless both are up to date
    python -m tests.lockfile --write   pins everything again, at the newest versions

Each is resolved from the pins of requirements.lock, so a newer release changes nothing by itself
and the image gets the very packages that the tests ran with.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
EVERYTHING = ROOT / "requirements.lock"
PRODUCTION = ROOT / "requirements-production.lock"
_EXTRAS = {EVERYTHING: ("dev", "embedded"), PRODUCTION: ()}
_PIN = r"^([a-z0-9.-]+)==(\S+)"
_NETWORK = ("Failed to fetch", "error sending request", "Request failed", "network was disabled")


class LockError(Exception):
    """Why the lock files cannot be trusted, in words a person can act on."""


def pins(text: str) -> dict[str, str]:
    """The version that a lock file pins each package to."""
    return dict(re.findall(_PIN, text, re.MULTILINE))


def faults(text: str) -> list[str]:
    """What a lock file must not hold: an option, an address, a package without a hash."""
    entries = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [
        f"{entry.split()[0]}: {fault}"
        for entry in entries
        for fault, found in (
            ("an option or an address", entry.startswith("-") or "://" in entry),
            ("not pinned", re.match(_PIN, entry) is None),
            ("no hash", "--hash=sha256:" not in entry),
        )
        if found
    ]


def resolve(extras: tuple[str, ...], start: str) -> str:
    """What pyproject.toml resolves to with these extras, keeping the pins of the lock `start`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.lock"
        output.write_text(start)
        done = subprocess.run(
            [
                find_uv_bin(),
                *("pip", "compile", "pyproject.toml", "--quiet", "--no-header"),
                *("--universal", "--python-version", "3.11", "--python", sys.executable),
                *("--generate-hashes", "--output-file", str(output)),
                *(f"--extra={extra}" for extra in extras),
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return output.read_text()
    if any(sign in done.stderr for sign in _NETWORK):
        raise LockError(
            f"the package index cannot be reached, so nothing was checked:\n{done.stderr}"
        )
    raise LockError(f"pyproject.toml cannot be resolved:\n{done.stderr}")


def check() -> None:
    """Raises LockError unless both lock files are sound and up to date."""
    start = EVERYTHING.read_text()
    for file, extras in _EXTRAS.items():
        present = file.read_text()
        if found := faults(present):
            raise LockError(f"{file.name}: {'; '.join(found)}")
        resolved = resolve(extras, start)
        if resolved != present:
            raise LockError(
                f"{file.name} is not what pyproject.toml asks for; "
                f"pin again with `make lock`:{_difference(present, resolved)}"
            )


def write() -> None:
    """Pin everything again at the newest versions."""
    start = ""
    for file, extras in _EXTRAS.items():
        start = resolve(extras, start)
        file.write_text(start)


def _difference(present: str, resolved: str) -> str:
    before, after = pins(present).items(), pins(resolved).items()
    lines = [f"\n  has    {name}=={version}" for name, version in sorted(before - after)]
    lines += [f"\n  wants  {name}=={version}" for name, version in sorted(after - before)]
    return "".join(lines) or "\n  the same pins, with other hashes, markers or comments"


def main() -> None:
    try:
        write() if sys.argv[1:] == ["--write"] else check()
    except LockError as error:
        sys.exit(f"lock files: {error}")


if __name__ == "__main__":
    main()
