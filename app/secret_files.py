"""Secrets from files: NAME_FILE is the path of the file that holds the secret setting NAME.

A file is seen by whoever may read it, an environment by whoever may inspect the container or the
process. Docker, Kubernetes and systemd can each provide secrets as files.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource


@dataclass(frozen=True)
class SecretFile:
    """Where a secret is to be read. It is read when the settings are validated, so that what is
    wrong with it is told together with what else is wrong."""

    path: Path
    also_set: bool

    def read(self) -> str:
        """The secret, without the blanks around it. Raises ValueError without it."""
        if self.also_set:
            raise ValueError("it is set, and its file as well. Take one of them out")
        try:
            return self.path.read_text().strip()
        except OSError as error:
            raise ValueError(f"its file {self.path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"its file {self.path} is not text") from None


class SecretFiles(PydanticBaseSettingsSource):
    """The files that the environment names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if not path or not holds_secret(field):
            return None, field_name, False
        also_set = bool(os.environ.get(field_name.upper()))
        return SecretFile(Path(path), also_set), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: file for name, file in found.items() if file is not None}


def holds_secret(field: FieldInfo) -> bool:
    """Whether a setting is secret."""
    return _is_secret(field.annotation)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
