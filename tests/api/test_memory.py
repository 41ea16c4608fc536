"""What is in our programs' memory, cards and keys, goes into no core dump."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.walk.running import Running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# As the API starts it, with a limit that would let a core be written.
PROGRAM = """
import ctypes, resource
from app.memory import keep_out_of_dumps
prctl = ctypes.CDLL(None).prctl
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
before = prctl(3)
keep_out_of_dumps()
print(before, prctl(3), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_the_kernel_is_told_to_dump_nothing() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True)
    assert told.stdout.split() == [b"1", b"0", b"0", b"0"]


def test_the_running_api_has_told_it(running: Running) -> None:
    assert _core_limits(running, "api") == ["0", "0"]


@pytest.mark.parametrize("program", ["worker", "codec"])
def test_so_have_the_others_that_know_secrets(running: Running, program: str) -> None:
    assert _core_limits(running, program) == ["0", "0"]


def _core_limits(running: Running, program: str) -> list[str]:
    limits = Path(f"/proc/{running.stack.supervisor.pid(program)}/limits").read_text()
    [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    return core.split()[4:6]
