"""Whether a pinned package has a known vulnerability, as the package index tells (pip-audit).

    python -m tests.audit [LOCK]

Exits with 1 where one has, or was not told of, and with 2 where nobody could be asked at all: then
nothing was audited.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lockfile import EVERYTHING

VULNERABLE, NOT_AUDITED = 1, 2


class NotAuditedError(Exception):
    """The vulnerability service could not be asked."""


def audit(lock: Path, *options: str) -> list[str]:
    """What is known against the pins of a lock file, a line each. Raises NotAuditedError."""
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(lock)),
            *("--require-hashes", "--disable-pip", "--progress-spinner", "off"),
            *("--format", "json", *options),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        packages: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        raise NotAuditedError(asked.stderr.strip().rpartition("\n")[2]) from None
    unknown = [package["skip_reason"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        raise NotAuditedError("the package index knows nothing of vulnerabilities")
    return [*unknown, *_vulnerabilities(packages)]


def _vulnerabilities(packages: list[dict[str, Any]]) -> Iterator[str]:
    for package in packages:
        for found in package.get("vulns", []):
            names = ", ".join([found["id"], *found["aliases"]])
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {names}; mended in {mended}"


def main() -> None:
    lock = Path(sys.argv[1]) if sys.argv[1:] else EVERYTHING
    try:
        found = audit(lock)
    except NotAuditedError as error:
        print(f"NOT AUDITED: {error}", file=sys.stderr)
        sys.exit(NOT_AUDITED)
    if found:
        print("\n".join(found), file=sys.stderr)
        sys.exit(VULNERABLE)
    print(f"{lock.name}: no known vulnerability")


if __name__ == "__main__":
    main()
