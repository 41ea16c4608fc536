"""Programs that arrive inside Python packages."""

import importlib.metadata
from pathlib import Path

from app.embedded.errors import StackError


def packaged_binary(package: str, path_end: str) -> Path:
    """The program a package brought along, by the end of its path. StackError when missing."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate())).resolve()
        if file.as_posix().endswith(path_end) and path.is_file():
            return path
    raise StackError(f"the program {path_end} is missing: install the package {package} again")
