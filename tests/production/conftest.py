"""What docker-compose.yml would have made on a machine: its secrets, its certificates, and a
Temporal that is reached by them."""

import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from app.embedded.ports import HOST
from tests.production.compose import make_secrets, services
from tests.production.tls_door import tls_door

Environment = dict[str, str]


@pytest.fixture(scope="session")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets, made by the guide's commands."""
    return make_secrets(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def certificates(stack_folder: Path) -> Path:
    """The certificates, made by the job that makes them."""
    folder = stack_folder / "certificates"
    folder.mkdir()
    make_certificates(folder)
    folder.chmod(0o755)
    return folder


def make_certificates(folder: Path) -> None:
    """Run the job in `folder`. Who is not root may not hand keys to groups, and keeps them."""
    job = services({})["certificates"]
    shell: list[str] = job["entrypoint"]
    [script] = job["command"]
    assert script.startswith("cd /certificates\n")
    script = script.replace("cd /certificates\n", "").replace("/tmp/", f"{folder}/")  # noqa: S108
    if os.geteuid() != 0:
        script = "chgrp() { :; }\n" + script
    done = subprocess.run(
        [*shell, script], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def on_this_machine(secrets_folder: Path, certificates: Path) -> Callable[..., Environment]:
    """The environment of a service of compose's, its paths as they are here."""

    def environment(service: str, **own: str) -> Environment:
        handed: Mapping[str, str] = services(own)[service]["environment"]
        return {
            name: value.replace("/run/secrets", str(secrets_folder)).replace(
                "/certificates", str(certificates)
            )
            for name, value in handed.items()
        }

    return environment


@pytest.fixture
async def temporal_door(temporal_address: str, certificates: Path) -> AsyncIterator[Environment]:
    """How to reach Temporal behind mutual TLS. The development server speaks no TLS: before it
    stands a door of ours that does, with the server's certificate, and asks for a client's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.crt")
    context.load_cert_chain(certificates / "temporal.crt", certificates / "temporal.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    async with tls_door(int(temporal_address.rpartition(":")[2]), context) as port:
        # Its address here is not the name in its certificate.
        yield {
            "TEMPORAL_ADDRESS": f"{HOST}:{port}",
            "TEMPORAL_TLS_SERVER_NAME": "temporal",
        }
