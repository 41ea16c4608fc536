"""What others wrote: only the very files that were pinned, none with a known vulnerability, all of
them listed; and what we wrote, looked at by bandit."""

import hashlib
import json
import re
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests import sbom
from tests.audit import NOT_AUDITED, VULNERABLE
from tests.lockfile import PRODUCTION, pins
from tests.production.compose import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PIN = "quiche==1.0 --hash=sha256:" + "0" * 64 + "\n"


# Only the very files that were pinned


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder with one package in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "quiche-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("quiche.py", "")
        wheel.writestr(
            "quiche-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: quiche\nVersion: 1.0\n"
        )
        wheel.writestr("quiche-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("quiche-1.0.dist-info/RECORD", "")
    return folder


@pytest.mark.parametrize("hashed", ["right", "wrong"])
def test_a_package_that_is_not_the_pinned_one_is_not_installed(index: Path, hashed: str) -> None:
    [wheel] = index.iterdir()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    ends = {
        "right": f" --hash=sha256:{digest}",
        "wrong": f" --hash=sha256:{'0' * 64}",
        "missing": "",
    }
    lock = index.parent / "requirements.lock"
    lock.write_text(f"quiche==1.0{ends[hashed]}\n")
    # As the Makefile and the Dockerfile install: test_image.py sees to the latter.
    [options] = re.findall(r"pip install (.*) -r requirements.lock\n", MAKEFILE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", *options.split(), "-r", str(lock)),
            *("--dry-run", "--no-index", f"--find-links={index}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) is (hashed == "right"), done.stderr
    if hashed == "wrong":
        assert "DO NOT MATCH THE HASHES" in done.stderr


# None with a known vulnerability


class Index(ThreadingHTTPServer):
    """The package index's JSON API, as a proxy on the way to it: it holds a certificate in its
    name. `knows` are the answers about each package and version."""

    daemon_threads = True

    def __init__(self, certificate: Path, knows: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.knows = knows
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(certificate)


class _Answers(BaseHTTPRequestHandler):
    server: Index
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False  # now it begins

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def do_GET(self) -> None:
        known = self.server.knows.get(self.path)
        content = json.dumps(known).encode()
        self.send_response(200 if known is not None else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, *_: Any) -> None:
        """Nobody reads it."""


Audited = Callable[[dict[str, Any]], subprocess.CompletedProcess[str]]


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    """`python -m tests.audit` of two pins, by an index that knows this of them."""
    authority = tmp_path / "authority.pem"
    certificate = tmp_path / "certificate.pem"
    ca = trustme.CA()
    ca.cert_pem.write_to_path(authority)
    index = import_module("pip._internal.models.index").PyPI.netloc
    ca.issue_cert(index).private_key_and_cert_chain_pem.write_to_path(certificate)
    lock = tmp_path / "requirements.lock"
    lock.write_text(PIN + PIN.replace("quiche", "tart"))
    running: list[Index] = []

    def run(knows: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        server = Index(
            certificate, {f"/pypi/{name}/1.0/json": said for name, said in knows.items()}
        )
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        running.append(server)
        return subprocess.run(
            [sys.executable, "-m", "tests.audit", str(lock)],
            cwd=ROOT,
            env={
                "HTTPS_PROXY": f"http://127.0.0.1:{server.server_port}",
                "REQUESTS_CA_BUNDLE": str(authority),
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    yield run
    for server in running:
        server.shutdown()
        server.server_close()


def vulnerable(**more: Any) -> dict[str, Any]:
    found = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fixed_in": ["1.1"], "details": "-"}
    return {"vulnerabilities": [{**found, **more}]}


FINE: dict[str, Any] = {"vulnerabilities": []}


def test_pins_without_a_known_vulnerability_pass(audited: Audited) -> None:
    done = audited({"quiche": FINE, "tart": FINE})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "requirements.lock: no known vulnerability\n"


def test_a_pin_with_a_known_vulnerability_fails(audited: Audited) -> None:
    done = audited({"quiche": vulnerable(), "tart": FINE})
    assert done.returncode == VULNERABLE
    assert done.stderr == "quiche 1.0: PYSEC-2026-1, CVE-2026-1; mended in 1.1\n"


def test_a_pin_that_nothing_is_said_of_fails(audited: Audited) -> None:
    done = audited({"tart": FINE})
    assert done.returncode == VULNERABLE
    assert "could not be audited: quiche (1.0)" in done.stderr


def test_where_nobody_can_be_asked_nothing_looks_audited(audited: Audited) -> None:
    done = audited({})
    assert (done.returncode, done.stdout) == (NOT_AUDITED, "")
    assert done.stderr.startswith("NOT AUDITED: ")


def test_the_check_says_so_and_goes_on(tmp_path: Path) -> None:
    """Where there is no vulnerability service, the other checks still count."""
    [recipe] = re.findall(r"^check:.*\n(?:\t.*\n)*\t(.*tests\.audit.*)\n", MAKEFILE, re.MULTILINE)
    command = recipe.replace("$$", "$").replace("$(BIN)/python -m tests.audit", "(exit {})")
    for code, passes in ((0, True), (VULNERABLE, False), (NOT_AUDITED, True), (127, False)):
        done = subprocess.run(["/bin/sh", "-c", command.format(code)], check=False)
        assert (done.returncode == 0) is passes


# All of them listed


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "tillflow.cdx.json"
    sbom.write(file)
    return file.read_text()


def test_the_bill_of_materials_is_valid(document: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    assert json.loads(document)["metadata"]["component"]["name"] == "tillflow"


def test_it_lists_every_pin_with_its_hashes(document: str) -> None:
    lock = PRODUCTION.read_text()
    entries = re.findall(r"^(\S+)==(\S+)(.*?)(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    pinned = {
        f"pkg:pypi/{name}@{version}": sorted(re.findall(r"sha256:([0-9a-f]{64})", rest))
        for name, version, rest in entries
    }
    assert len(pinned) >= len(pins(lock))
    assert pinned == {
        component["purl"]: sorted(
            each["content"]
            for source in component["externalReferences"]
            for each in source["hashes"]
        )
        for component in json.loads(document)["components"]
    }


def test_it_is_the_same_each_time(document: str, tmp_path: Path) -> None:
    sbom.write(tmp_path / "again")
    assert (tmp_path / "again").read_text() == document


# What we wrote


INSECURE = """
import os
import pickle
import subprocess


def find(connection, order_id):
    connection.execute("SELECT * FROM orders WHERE order_id = '%s'" % order_id)
    subprocess.run(f"ls {order_id}", shell=True)
    os.system(order_id)
    eval(order_id)
    exec(order_id)
    pickle.loads(order_id)
"""


def test_bandit_finds_what_is_insecure(tmp_path: Path) -> None:
    [recipe] = re.findall(r"^\t\$\(BIN\)/(bandit .*) 2>", MAKEFILE, re.MULTILINE)
    (tmp_path / "insecure.py").write_text(INSECURE)
    command = recipe.replace("$(SHIPPED)", str(tmp_path)).split()
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert {"B608", "B602", "B605", "B307", "B102", "B301"} <= set(
        re.findall(r"\[(B\d+):", done.stdout)
    )


def test_no_sql_is_put_together_and_no_shell_eval_or_pickle_is_in_the_image(tmp_path: Path) -> None:
    """Without a single exception."""
    planted = tmp_path / "insecure.py"
    planted.write_text(INSECURE)
    shipped = [str(ROOT / each) for each in ("app", "migrations", "worker.py")]
    rules = {"S608", "S602", "S604", "S605", "S307", "S102", "S301"}

    def found(*paths: str) -> set[str]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache"),
                *("--ignore-noqa", f"--select={','.join(rules)}", "--output-format=concise"),
                *paths,
            ],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        return set(re.findall(r": (S\d+) ", done.stdout))

    assert found(str(planted)) == rules - {"S604"}
    assert found(*shipped) == set()


def test_what_bandit_looks_at_is_what_the_image_holds() -> None:
    [shipped] = re.findall(r"^SHIPPED := (.*)$", MAKEFILE, re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(shipped.split()) == set(copied) - {PRODUCTION.name}


def test_each_exception_names_its_rule_and_its_reason() -> None:
    for folder in ("app", "sandbox", "migrations"):
        for file in (ROOT / folder).rglob("*.py"):
            for line in file.read_text().splitlines():
                excepted = re.search(r"#( noqa: S\d+ -)? \w.*  # nosec B\d{3}$", line)
                assert excepted or "nosec" not in line, (file, line)
