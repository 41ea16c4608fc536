"""What the image is made of, as a CycloneDX document: each package, its version and its hashes.

python -m tests.sbom FILE
"""

import subprocess
import sys
from pathlib import Path

from tests.lockfile import PRODUCTION, ROOT


def write(file: Path, lock: Path = PRODUCTION) -> None:
    """Write the document of a lock file's pins. The same lock gives the same bytes."""
    subprocess.run(
        [
            # It warns that the document does not tell which package needs which.
            *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(lock)),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
            *("--spec-version", "1.6", "--output-reproducible", "--output-file", str(file)),
        ],
        check=True,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
