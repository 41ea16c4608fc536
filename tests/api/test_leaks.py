"""The ways by which a card's number or code has left a process: each is shut.

Every test lets the leak happen, sees that it did, and looks at what came out.
"""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.api import schemas
from app.db.engine import create_engine
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.domain.card_numbers import holds_card_number
from app.embedded.part import ROOT
from app.embedded.ports import HOST
from tests.api.problems import problem
from tests.embedded.processes import called_by
from tests.lockfile import PRODUCTION, pins
from tests.sweep import wrong
from tests.sweep.canaries import Canary
from tests.sweep.paths import QUIET, every_statement_logged
from tests.walk.cards import canary, found_in, spaced
from tests.walk.running import INITIATE, Running, new_order, request

CARD = Canary("378282246310005", "8642")
NUMBER, CODE = CARD.number, CARD.code
_SECRET = re.compile(rf"{NUMBER[:-1]}|(?<![0-9A-Za-z_]){CODE}(?![0-9A-Za-z_])")


def said(program: str, *, ends_well: bool = True) -> str:
    """All that a program says which begins as our processes begin, at the most talkative level."""
    begun = f"""
        import asyncio, faulthandler, gc, logging, os, threading, warnings
        import structlog
        from app.logs import configure
        configure("DEBUG")
        number, code = {NUMBER!r}, {CODE!r}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(begun) + textwrap.dedent(program)],
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) is ends_well, done.stderr
    return done.stdout + done.stderr


def test_what_is_logged_holds_no_card() -> None:
    output = said("""
        from app.api.schemas import InitiateRequest
        from pydantic import ValidationError

        def fail(number, code):
            raise KeyError(f"no such card: {number}")

        try:
            fail(number, code)
        except KeyError:
            structlog.get_logger().exception("by structlog")
            logging.getLogger("library").exception("by the standard library")
        try:
            card = {"number": number, "cvv": code, "expiry_month": "13", "expiry_year": "40"}
            InitiateRequest.model_validate({"credit_card": card, "amount": {number: code}})
        except ValidationError as error:
            logging.getLogger("library").error("invalid: %s %r", error, error)
        warnings.warn(f"a warning of {number}")
        logging.getLogger("httpx").debug("httpx %s %s", number, code)
        logging.getLogger("httpcore.http11").debug("httpcore %s %s", number, code)
        logging.getLogger("stripe").debug("stripe %s %s", number, code)
    """)
    for told in (
        "by structlog",
        "by the standard library",
        "KeyError",
        "invalid: ",
        "a warning of",
    ):
        assert told in output
    assert not re.search("httpx|httpcore|stripe", output)
    assert not _SECRET.search(output)


def test_a_line_of_the_log_is_one_object_whatever_it_tells_of() -> None:
    output = said(
        """
        forged = 'first\\r\\n{"event": "forged", "level": "info"}\\n\\x1b[2K\\u2028\\x00"}'
        structlog.get_logger().info(forged, **{forged: forged})
        logging.getLogger("library").warning("%s", forged)
        warnings.warn(forged)
        try:
            raise KeyError(forged)
        except KeyError:
            structlog.get_logger().exception(forged)
            logging.getLogger("library").exception("%s", forged)
        thread = threading.Thread(target=int, args=(forged,))
        thread.start()
        thread.join()
        structlog.get_logger().info("without quotes", number=int(number))
        raise ValueError(forged)
        """,
        ends_well=False,
    )
    assert not _SECRET.search(output)
    lines = [json.loads(line) for line in output.removesuffix("\n").split("\n")]
    assert len(lines) == 8
    assert [line["number"] for line in lines if "number" in line] == ["[card number]"]
    for line in lines:
        assert line["event"] != "forged"
        assert line["level"] in ("info", "warning", "error", "critical")
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_a_number_that_json_would_spell_otherwise_is_blotted_out_as_well() -> None:
    output = said("""
        full_width = "".join(chr(0xFF10 + int(digit)) for digit in number)
        by = ("\\u00a0", "\\n", "\\t", "\\u200b")
        told = [full_width, *(each.join(number) for each in by)]
        structlog.get_logger().info("several", told=told, more={"deep": [{told[1]: told[2]}]})
        try:
            raise ValueError(told[2])
        except ValueError:
            logging.getLogger("library").exception("%s", told[3])
    """)
    several, library = map(json.loads, output.splitlines())
    assert several["told"] == ["[card number]"] * 5
    assert several["more"] == {"deep": [{"[card number]": "[card number]"}]}
    assert library["event"] == "[card number]"
    assert library["exception"][0]["exc_value"] == "[card number]"


def test_what_nobody_catches_holds_no_card() -> None:
    output = said("""
        class Kept:
            def __del__(self):
                raise KeyError(f"unraisable {number}")

        def fail(number, code):
            raise KeyError(f"in a thread {number}")

        async def lose(number, code):
            raise KeyError(f"in a task {number}")

        async def main():
            task = asyncio.create_task(lose(number, code))
            await asyncio.sleep(0)
            del task
            gc.collect()

        Kept()
        thread = threading.Thread(target=fail, args=(number, code))
        thread.start()
        thread.join()
        asyncio.run(main(), debug=True)
    """)
    for told in ("unraisable", "in a thread", "in a task"):
        assert told in output
    assert not _SECRET.search(output)


def test_what_ends_a_process_holds_no_card() -> None:
    fail = "def fail(number, code):\n    raise KeyError(f'the end {number}')\nfail(number, code)"
    output = said(fail, ends_well=False)
    assert "the end" in output
    assert not _SECRET.search(output)
    abort = "faulthandler.enable()\ndef fail(number, code):\n    os.abort()\nfail(number, code)"
    output = said(abort, ends_well=False)
    assert "Fatal Python error: Aborted" in output
    assert not _SECRET.search(output)


def test_a_defect_in_a_handler_holds_no_card() -> None:
    """Uvicorn logs it, with its traceback."""
    output = said("""
        import httpx, uvicorn
        from fastapi import FastAPI, Request
        from app.api import problems

        api = FastAPI()
        problems.install(api)

        @api.post("/pay")
        async def pay(request: Request) -> None:
            told = await request.json()
            raise KeyError(f"no such card: {told['number']}")

        async def main():
            server = uvicorn.Server(uvicorn.Config(api, port=0, log_config=None))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with httpx.AsyncClient(trust_env=False) as client:
                body = {"number": number, "cvv": code}
                answer = await client.post(f"http://127.0.0.1:{port}/pay", json=body)
            print(answer.status_code, answer.text)
            server.should_exit = True
            await running

        asyncio.run(main())
    """)
    for told in ("Exception in ASGI application", "KeyError", "internal-error"):
        assert told in output
    assert not _SECRET.search(output)


async def test_a_statement_that_fails_holds_no_card(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine = create_engine(database_url)
    engine.sync_engine.echo = "debug"
    try:
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError) as failed:
                await connection.execute(
                    text("SELECT CAST(:number AS text), CAST(:code AS integer) / 0"),
                    {"number": NUMBER, "code": int(CODE)},
                )
    finally:
        await engine.dispose()
    assert "SELECT CAST" in caplog.text
    assert not _SECRET.search(f"{caplog.text} {failed.value} {failed.value!r}")


async def test_a_database_that_logs_every_statement_logs_no_card(running: Running) -> None:
    async with every_statement_logged(running):
        for name in ("paid", "in an order's life", "in a callback", "in the gateway's event"):
            await QUIET[name](running, Canary(canary(), CODE[:3]))
    log = running.stack.supervisor.log("postgres").read_bytes()
    assert b"INSERT INTO callbacks" in log
    assert not found_in(log)


@pytest.mark.parametrize("logger", ["stripe", "stripe.sub", "httpx", "httpcore.http11"])
def test_a_process_that_could_tell_all_does_not_start(logger: str) -> None:
    program = f"logging.getLogger({logger!r} + '.loud').setLevel(1)\nconfigure('INFO')"
    output = said(program, ends_well=False)
    assert f"the logger {logger}.loud at DEBUG would have card numbers written" in output


@pytest.mark.parametrize("process", ["api", "worker"])
def test_an_operator_who_asks_the_sdk_to_tell_all_is_refused(
    running: Running, process: str
) -> None:
    part = running.stack.api if process == "api" else running.stack.worker
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", process],
        cwd=ROOT,
        env={**part.environment(), "STRIPE_LOG": "debug", "API_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "STRIPE_LOG=debug would have card numbers written: take it out" in (
        done.stdout + done.stderr
    )


def test_nothing_traces_or_reports_to_others() -> None:
    """Tracers and error trackers take requests and local variables along."""
    known = pins(PRODUCTION.read_text())
    wired = re.compile("opentelemetry|sentry|ddtrace|newrelic|rollbar|bugsnag|elastic-apm|logfire")
    # FastAPI brings the interface along, which alone does nothing.
    assert [name for name in known if wired.search(name)] == ["opentelemetry-api"]


def test_a_tracer_that_somebody_installs_is_told_nothing() -> None:
    output = said("""
        import httpx
        from opentelemetry import trace
        from app.api.main import create_app

        class Tracer(trace.NoOpTracer):
            def start_span(self, name, *told, **more):
                print("traced", name, told, more)
                return super().start_span(name, *told, **more)

        class Provider(trace.TracerProvider):
            def get_tracer(self, *_, **__):
                return Tracer()

        trace.set_tracer_provider(Provider())

        async def main():
            api = httpx.ASGITransport(create_app(), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=api, base_url="http://api") as client:
                print((await client.get(f"/{number}", params={"cvv": code})).status_code)
                print((await client.get("/healthz")).status_code)

        asyncio.run(main())
    """)
    # Without its parts the other is a defect, which a tracer would be told as well.
    assert [line for line in output.splitlines() if line.isdigit()] == ["400", "500"]
    assert "traced" not in output


def test_no_model_shows_what_it_was_given() -> None:
    models = [
        model
        for model in vars(schemas).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
    ]
    taking = [model for model in models if model.model_config.get("extra") == "forbid"]
    assert len(taking) >= 3
    assert all(model.model_config.get("hide_input_in_errors") for model in taking)


@pytest.mark.parametrize("what", wrong.REQUESTS)
async def test_a_request_that_is_wrong_is_not_told_back(running: Running, what: str) -> None:
    body = {**request(new_order("leak")), "credit_card": CARD.card()}
    answer = await running.initiate(wrong.different(body, wrong.REQUESTS[what](CARD)))
    assert answer.status_code == 400
    assert not _SECRET.search(answer.text + str(answer.headers))


@pytest.mark.parametrize("what", wrong.BODIES)
async def test_a_body_that_is_no_request_is_not_told_back(running: Running, what: str) -> None:
    content, kind = wrong.BODIES[what](CARD)
    headers = {"Content-Type": kind}
    answer = await running.shop.post(INITIATE, content=content, headers=headers)
    assert answer.status_code in (400, 413, 415)
    assert not _SECRET.search(answer.text + str(answer.headers))


@pytest.mark.parametrize("address", wrong.ADDRESSES)
@pytest.mark.parametrize("by", ["", "-", "%20", "+"])
async def test_a_card_in_an_address_is_refused_and_not_logged(
    running: Running, address: str, by: str
) -> None:
    number = canary()
    answer = await running.shop.get(address.format(spaced(number, by)))
    told = problem(answer, 400, "invalid-request")
    assert not found_in(answer.content)
    assert "addresses are written into logs" in told["detail"]
    log = running.stack.supervisor.log("api").read_bytes()
    assert not found_in(log)
    assert b"uvicorn.access" not in log


async def test_a_moment_is_not_taken_for_a_card(running: Running) -> None:
    moments = (f"2026-11-22T22:15:30.{each:06}+00:00" for each in range(1000))
    moment = next(each for each in moments if holds_card_number(each))
    answer = await running.shop.get("/api/payments", params={"created_from": moment})
    assert answer.status_code == 200, answer.text


async def test_a_card_in_a_header_is_not_logged(running: Running) -> None:
    """What is no header of ours is not read; what is, is refused."""
    number = canary()
    for name in wrong.HEADERS:
        await running.shop.get("/api/payment/order-1", headers={name: number})
    answer = await running.initiate(request(new_order()), headers={"Idempotency-Key": number})
    problem(answer, 400, "invalid-request")
    stranger = running.storefront(running.stack.api_url, number)
    async with stranger:
        problem(await stranger.get("/api/payment/order-1"), 401, "unauthorized")
    assert not found_in(running.stack.supervisor.log("api").read_bytes())


async def test_an_api_that_logs_everything_logs_no_card_no_key_and_no_shopper(
    running: Running,
) -> None:
    """Nor does the worker, who writes to the shopper."""
    shopper = {"customer_email": "loud@example.com", "customer_ip_address": "203.0.113.77"}
    order_id = new_order("loud")
    async with running.another_api(LOG_LEVEL="DEBUG") as shop:
        for body in (request(order_id), request(new_order("loud"), amount="much")):
            assert (await shop.post(INITIATE, json={**body, **shopper})).status_code in (200, 400)
    await running.until(order_id)
    assert len(running.mails(order_id)) == 1
    logs = running.stack.supervisor.log("another api").read_bytes()
    assert b"Application startup complete" in logs
    logs += running.stack.supervisor.log("worker").read_bytes()
    assert not found_in(logs)
    credentials = running.credentials
    told = logs.decode()
    for secret in (
        *shopper.values(),
        DEVELOPMENT_API_KEY,
        credentials.stripe_api_key,
        credentials.stripe_webhook_secret,
        credentials.callback_secret,
        credentials.encryption_keys.partition(":")[2],
    ):
        assert secret not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the connections of the processes")
async def test_each_process_talks_to_whom_its_settings_name_and_to_nobody_else(
    running: Running,
) -> None:
    await running.paid("talking", customer_email="talking@example.com")
    ports = running.stack.ports
    named = {ports.postgres, ports.temporal, ports.sandbox, ports.smtp}
    called = {
        part: called_by(running.stack.supervisor.pid(part)) for part in ("api", "worker", "codec")
    }
    for part in ("api", "worker"):
        assert called[part] >= {(HOST, ports.postgres), (HOST, ports.temporal)}
    assert set.union(*called.values()) <= {(HOST, port) for port in named}, called


async def test_an_address_in_a_request_is_not_called(running: Running) -> None:
    called: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append((await reader.readline()).decode())
        writer.close()

    listener = await asyncio.start_server(note, HOST, 0)
    address = f"http://{HOST}:{listener.sockets[0].getsockname()[1]}/back"
    body = {"payment_method": "ideal", "currency": "eur", "return_url": address}
    order_id = new_order("called")
    answer = await running.initiate(
        {"order_id": order_id, "amount": 49.99, "metadata": {"url": address}, **body}
    )
    assert answer.status_code == 200, answer.text
    # The shopper's browser is sent there.
    assert (await running.shopper_answers(answer.json())).headers["location"].startswith(address)
    await running.until(order_id)
    listener.close()
    await listener.wait_closed()
    assert called == []


async def test_a_process_keeps_no_secret_where_others_look(
    running: Running, tmp_path: Path
) -> None:
    """With its secrets in files, neither its command line nor its environment has them."""
    environment = running.stack.api.environment()
    secrets = {
        name: environment[name]
        for name in (
            "ENCRYPTION_KEYS",
            "STRIPE_API_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "CALLBACK_SECRET",
        )
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    files = {f"{name}_FILE": str(tmp_path / name) for name in secrets}
    async with running.another_api(**dict.fromkeys(secrets, ""), **files) as shop:
        assert (await shop.get("/healthz")).is_success
        process = Path(f"/proc/{running.stack.supervisor.pid('another api')}")
        for place in ("cmdline", "environ"):
            content = (process / place).read_text()
            assert "app.cli" in content or "STRIPE_API_KEY_FILE" in content
            for value in secrets.values():
                assert value not in content
