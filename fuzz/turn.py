"""A visitor's turn: schemathesis asks for them, and every answer is counted and judged."""

from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.schemas import BaseSchema

from fuzz.tally import Finding, Tally
from fuzz.visitors import Visitor


def take(visitor: Visitor, schema: BaseSchema, tally: Tally) -> None:
    """All phases of the plan. Raises RuntimeError where something could not be asked, or not be
    judged: what was not tried is not clean."""
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _count(visitor, event.recorder, tally)
            case events.NonFatalError():
                raise RuntimeError(f"{event.label}: {event.info.title}: {event.info.message}")
            case events.FatalError():
                raise event.exception


def _count(visitor: Visitor, recorder: ScenarioRecorder, tally: Tally) -> None:
    offered = visitor.headers().get("Authorization")
    for exchange in recorder.interactions.values():
        if exchange.response is None:
            raise RuntimeError(f"{exchange.request.method} {exchange.request.uri}: no answer")
        # A check may have taken the key away, to see whether it is missed.
        sent = exchange.request.headers.get("Authorization", [])
        tally.answered(exchange.response.status_code, with_key=visitor.live and sent == [offered])
    for case_id, results in recorder.checks.items():
        for result in results:
            tally.checks[result.name] += 1
            if result.status is Status.ERROR:
                raise RuntimeError(f"{recorder.label}: {result.name} could not judge an answer")
            if result.failure_info is None:
                continue
            failure = result.failure_info.failure
            about = failure.case_id or case_id  # a check may have asked something of its own
            response = recorder.interactions[about].response
            tally.findings.append(
                Finding(
                    visitor.name,
                    recorder.cases[case_id].value.operation.label,
                    result.name,
                    " ".join(f"{failure.title}: {failure.message}".split()),
                    result.failure_info.code_sample,
                    response.content.decode(errors="replace")[:500] if response is not None else "",
                )
            )
