"""What is shown of a run: faults and doses, invariants and figures, and one last line."""

from collections import Counter
from collections.abc import Iterable, Sequence

from chaos.doses import Dose, summed
from chaos.judge_verdict import Verdict
from chaos.outcome import Outcome

MOST_BREACHES = 20


def table(outcomes: Sequence[Outcome]) -> str:
    """Fault, dose, what happened; then each invariant with its figures."""
    doses = summed(dose for outcome in outcomes for dose in outcome.doses)
    rows = [("fault", "dose", "what happened"), *(_row(dose) for dose in doses)]
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        [
            *(f"{row[0]:<{width[0]}}  {row[1]:>{width[1]}}  {row[2]}".rstrip() for row in rows),
            "",
            *_pace(outcomes),
            "",
            *_invariants([outcome.verdict for outcome in outcomes]),
            *(f"not expected: {each}" for outcome in outcomes for each in outcome.surprises),
        ]
    )


def last_line(outcomes: Sequence[Outcome]) -> str:
    """The figures that count."""
    verdicts = [outcome.verdict for outcome in outcomes]
    difference = _added(verdict.difference for verdict in verdicts)
    apart = ", ".join(f"{currency} {minor}" for currency, minor in difference.items() if minor)
    surprises = sum(len(outcome.surprises) for outcome in outcomes)
    return (
        f"chaos: {sum(outcome.payments for outcome in outcomes)} payments, "
        f"{sum(outcome.kills for outcome in outcomes)} kills, "
        f"{sum(outcome.faults for outcome in outcomes)} faults: "
        f"{sum(verdict.charged_twice for verdict in verdicts)} charged twice, "
        f"{sum(verdict.lost for verdict in verdicts)} lost, "
        f"{sum(verdict.unexplained for verdict in verdicts) + surprises} unexplained, "
        f"difference {apart or 0}"
    )


def _row(dose: Dose) -> tuple[str, str, str]:
    if dose.not_done is not None:
        return dose.fault, "0", f"not done: {dose.not_done}"
    unit = dose.unit if dose.given == 1 else dose.units
    given = f"{dose.given} {unit}"
    if dose.planned > dose.given:
        given += f" of {dose.planned}"
    return dose.fault, given, _words(dose.happened)


def _pace(outcomes: Sequence[Outcome]) -> list[str]:
    answers: Counter[int] = Counter()
    for outcome in outcomes:
        answers.update(outcome.answers)
    told = ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(answers.items()))
    payments = sum(outcome.payments for outcome in outcomes)
    seconds = sum(outcome.load_seconds for outcome in outcomes)
    undisturbed = sum(outcome.rate for outcome in outcomes) / len(outcomes)
    rest = max(outcome.rest_seconds for outcome in outcomes)
    return [
        f"answers to the storefront: {told}",
        f"payments a second: {undisturbed:.1f} undisturbed, {payments / seconds:.1f} under fire; "
        f"everything at rest {rest:.0f} s after the last fault at most",
    ]


def _invariants(verdicts: Sequence[Verdict]) -> list[str]:
    lines = []
    for same in zip(*(verdict.invariants for verdict in verdicts), strict=True):
        breaches = [breach for invariant in same for breach in invariant.breaches]
        holds = f"{len(breaches)} BREACHES" if breaches else "holds"
        figures = _words(_added(invariant.figures for invariant in same))
        lines.append(f"{same[0].number}. {same[0].sentence}: {holds} ({figures})")
        lines += [f"   {breach}" for breach in breaches[:MOST_BREACHES]]
        if len(breaches) > MOST_BREACHES:
            lines.append(f"   … and {len(breaches) - MOST_BREACHES} more")
    return lines


def _added(figures: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in figures:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total


def _words(figures: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in figures.items())
