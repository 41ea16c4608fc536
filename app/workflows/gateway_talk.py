"""What the workflow and the gateway have to say to each other about one order's payment."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from app.activities.failures import Failure
from app.activities.learnt import Learnt
from app.activities.payment import (
    AuthorizeInput,
    LookUpInput,
    MoneyInput,
    PaymentActivities,
    ReleaseInput,
)
from app.domain.facts import Decline, Event, Fact, NextAction, Source
from app.domain.gateway import GatewayEvent, GatewayPayment, Status
from app.domain.learn import learn, learn_event
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.payment import (
    CLOSED,
    GATEWAY_UNAVAILABLE,
    NOT_CHARGED,
    OPEN_TO_ATTEMPTS,
    OrderState,
    State,
)
from app.domain.unknown import Operation
from app.temporal import policies
from app.workflows.known import Known
from app.workflows.messages import AttemptInput, ResolveInput
from app.workflows.unknown import Unknown, jittered

# Held money is not left where it is for one refusal: eight tries take about eight minutes.
RELEASE_REFUSALS_TAKEN = 8
LONGEST_CAPTURE_PAUSE = timedelta(hours=1)
# Payments that were under way before this was so go on as they began.
ABSENCE_IS_PROVEN_FIRST = "absence is proven before a new key is used"
TRIES_ARE_COUNTED = "tries in an outage are counted"
LATE_IS_LOOKED_FOR = "what may have come late is looked for in the end"

_MONEY = frozenset({Status.AUTHORIZED, Status.CAPTURED})
_NO_MONEY = frozenset({Status.NOTHING, Status.DECLINED, Status.REQUIRES_ACTION})


# Waits until something is true, or the time is up, and takes in what the gateway reports meanwhile.
Until = Callable[[Callable[[], bool], timedelta | None], Awaitable[None]]


class GatewayTalk:
    """Each method asks, and keeps what it learns in `known`."""

    def __init__(self, known: Known, until: Until) -> None:
        self._known = known
        self._until = until
        self._order = known.order
        self._in_vain: list[tuple[datetime, int]] = []  # attempts that reached nobody; their tries
        self.unknown = Unknown(
            known.order.order_id, known.order.unknown_age_limit_seconds, self._flag, known.show
        )

    async def attempt(self, attempt: AttemptInput) -> None:
        """Ask to hold the money, unless the attempt before has brought it."""
        if self._known.payment.attempts and self._known.payment.state not in OPEN_TO_ATTEMPTS:
            return
        self._known.looks_without_news = 0
        attempted = Fact(
            Event.ATTEMPTED,
            workflow.now(),
            Source.WORKFLOW,
            attempt=attempt.number,
            method=attempt.method,
            idempotency_key=attempt.idempotency_key,
        )
        tries = self._tries()
        if not tries:
            await self._known.record([attempted])
            await self._unavailable(attempt.number)
            return
        self._known.learn([attempted])
        try:
            learnt = await workflow.execute_activity_method(
                PaymentActivities.authorize_payment,
                AuthorizeInput(
                    order_id=self._order.order_id,
                    amount=self._order.amount,
                    attempt=attempt.number,
                    token=attempt.token,
                    method=attempt.method,
                    transaction_id=self._known.payment.transaction_id,
                    return_url=attempt.return_url,
                    idempotency_key=attempt.idempotency_key,
                    customer_id=attempt.customer_id,
                    save=attempt.save,
                    off_session=attempt.off_session,
                    billing_country=attempt.billing_country,
                ),
                summary=f"Hold {self._order.amount} on {attempt.method}, attempt {attempt.number}",
                **policies.authorize(tries),
            )
        except ActivityError as error:
            if _failure(error) == Failure.UNAVAILABLE:
                self._in_vain.append((workflow.now(), tries))
                await self._unavailable(attempt.number)
            else:
                await self._outcome_unknown(attempt.number)
            return
        await self._adopt(learnt)
        if self._known.payment.state is State.INITIATED:  # an answer that tells nothing
            await self._outcome_unknown(attempt.number)

    def _tries(self) -> int:
        """How often the attempt may be tried: in an outage a storefront that asks again and again
        does not have the gateway asked as often."""
        lately = sum(n for at, n in self._in_vain if workflow.now() - at < timedelta(minutes=1))
        if not (lately and workflow.patched(TRIES_ARE_COUNTED)):
            return policies.AUTHORIZE_TRIES
        return min(1, max(policies.AUTHORIZE_TRIES_A_MINUTE - lately, 0))

    async def _unavailable(self, attempt: int) -> None:
        decline = Decline(GATEWAY_UNAVAILABLE, "The payment could not be started.")
        await self._known.tell(Event.FAILED, attempt=attempt, decline=decline)

    async def _outcome_unknown(self, attempt: int) -> None:
        self.unknown.begin(Operation.AUTHORIZATION)
        await self._known.tell(Event.OUTCOME_UNKNOWN, attempt=attempt)

    async def find_out(self) -> None:
        """Make the next check of an attempt whose outcome is unknown, unless news come first."""
        await self._wait_for_check(lambda: self._known.payment.state is not State.UNKNOWN)
        if self._known.payment.state is State.UNKNOWN:
            decision = self.unknown.decision
            await self.look_up()
            self.unknown.has_checked(decision)
        if self._known.payment.state is not State.UNKNOWN:
            await self.unknown.is_over()

    async def capture(self, amount: Money) -> None:
        """Take `amount` of the money, unless it is not there to take any more."""
        payment = self._known
        await self._move_money(
            Operation.CAPTURE,
            PaymentActivities.capture_payment,
            f"Take {amount}",
            lambda: bool(
                payment.payment.captured or payment.payment.state in CLOSED or payment.unusable
            ),
            amount=amount,
        )

    async def take_in(self, event: GatewayEvent) -> None:
        """One callback: adopted if it is plainly news of our payment, else a reason to look."""
        seen, known = event.payment, self._known.payment
        if event.refund is not None or event.dispute is not None:
            await self._note(event)
            return
        over = known.order_state is OrderState.CANCELED
        if seen is None:
            if over and not known.captured:
                await self._release(known.transaction_id)
            elif not known.captured:
                await self.look_up()
            return
        if known.transaction_id not in (None, seen.transaction_id):
            await self._release(seen.transaction_id)
            return
        facts = learn(
            seen, source=Source.CALLBACK, at=workflow.now(), attempt=self._known.latest_attempt
        )
        if seen.status in _MONEY and not known.confirmed:
            facts.append(Fact(Event.CONFIRMED, workflow.now(), Source.CALLBACK))
        facts = [fact for fact in facts if self._known.is_news([fact])]
        if not facts:
            return
        if over:
            await self._release(seen.transaction_id)
        elif seen.status in _MONEY:
            await self._known.record(facts)
            await self._check_amount(seen)
        else:
            await self.look_up()

    async def _note(self, event: GatewayEvent) -> None:
        """News of a refund or a dispute of our payment, whoever began it."""
        if event.transaction_id not in self._known.payment.transaction_ids:
            return
        facts = learn_event(
            event, at=workflow.now(), attempt=0, currency=self._order.amount.currency
        )
        if self._known.is_news(facts):
            await self._known.record(facts)

    async def resolve(self, ask: ResolveInput) -> None:
        """An operator decides about what is unknown. Returns once a check was made with it."""
        attempt = self._known.latest_attempt
        await self._known.record([self.unknown.resolved(ask, attempt)])
        if self.unknown:
            await self.unknown.decide(ask)

    async def look_up(self) -> bool:
        """Ask the gateway how things stand, and believe it. Whether what it did not tell of is now
        certain not to have been done."""
        looked_at = workflow.now()
        decision = self.unknown.decision
        to_be_found = decision is not None and self._known.payment.state is State.UNKNOWN
        found = decision.transaction_id if decision is not None and to_be_found else None
        try:
            learnt = await workflow.execute_activity_method(
                PaymentActivities.look_up_payment,
                LookUpInput(
                    order_id=self._order.order_id,
                    attempt=self._known.latest_attempt,
                    since=workflow.info().start_time,
                    transaction_id=found or self._known.payment.transaction_id,
                    old_declines=self._old_declines(),
                    old_actions=self._old_actions(),
                ),
                summary="No news: ask the gateway how the payment stands",
                **(policies.LOOK_ONCE if self.unknown else policies.LOOK_UP),
            )
        except ActivityError as error:
            if _failure(error) == Failure.REFUSED:
                await self._flag(f"the gateway tells us nothing: {error.cause}")
            told = False
        else:
            told = True
            await self._adopt(learnt)
            paid = self._known.payment.state in (State.AUTHORIZED, State.CAPTURED)
            if paid and not self._known.payment.confirmed:
                await self._known.tell(Event.CONFIRMED, source=Source.LOOK_UP)
        absent = self.unknown.is_absent(looked_at, told=told)
        if self._known.payment.state is State.UNKNOWN and absent:
            await self._known.tell(
                Event.FAILED,
                attempt=self._known.latest_attempt,
                decline=Decline(NOT_CHARGED, "The payment did not go through."),
            )
        return absent

    async def _flag(self, reason: str) -> None:
        await self._known.tell(Event.FLAGGED, reason=reason)

    def _old_declines(self) -> list[Decline]:
        """What the gateway may still show although the latest attempt has not arrived yet."""
        if self._known.payment.state is not State.UNKNOWN:
            return []
        latest = self._known.latest_attempt
        tried = self._known.payment.attempts.values()
        return [t.decline for t in tried if t.decline is not None and t.number != latest]

    def _old_actions(self) -> list[NextAction]:
        """The same, of pages that the shopper has left."""
        if self._known.payment.state is not State.UNKNOWN:
            return []
        latest = self._known.latest_attempt
        tried = self._known.payment.attempts.values()
        return [t.next_action for t in tried if t.next_action is not None and t.number != latest]

    async def _adopt(self, learnt: Learnt) -> None:
        """Facts that an activity has already put into the records."""
        self._known.learn(learnt.facts)
        seen = learnt.seen
        if seen is None:
            return
        await self._check_amount(seen)
        if self._known.payment.state is State.AUTHORIZED and seen.status in _NO_MONEY:
            await self._known.tell(Event.VOIDED, reason=f"the gateway's payment is {seen.status}")

    async def _check_amount(self, seen: GatewayPayment) -> None:
        """Neither another amount nor a part of it pays for the order; unless the storefront itself
        decides how much to take."""
        amount = seen.amount
        if seen.status is Status.AUTHORIZED:
            amount = amount.of(seen.authorized)
        elif seen.status is Status.CAPTURED and self._order.capture is Capture.AUTOMATIC:
            amount = amount.of(seen.captured)
        wrong = next((a for a in (seen.amount, amount) if a != self._order.amount), None)
        if wrong is not None and self._known.unusable is None:
            self._known.unusable = f"the gateway's payment is for {wrong}"
            await self._known.tell(Event.FLAGGED, reason=self._known.unusable)

    async def _move_money(
        self,
        operation: Operation,
        act: Callable[[PaymentActivities, MoneyInput], Awaitable[Learnt]],
        summary: str,
        done: Callable[[], bool],
        refusals_taken: int = 1,
        amount: Money | None = None,
    ) -> None:
        """Ask the gateway until it is done, with a new key each time it is certain that it is not.
        A refusal is flagged; after `refusals_taken` of them what the look-up tells stands."""
        number, proven = 0, False
        while not done():
            number += 1
            if number > (2 if proven else 1):
                pause = timedelta(seconds=2 ** min(number, 12))
                await self._until(
                    partial(self._has_moved_on, done, self._known.payment.state),
                    min(jittered(pause), LONGEST_CAPTURE_PAUSE),
                )
                if done():
                    return
            try:
                learnt = await workflow.execute_activity_method(
                    act,
                    self._money(amount or self._order.amount, number),
                    summary=summary,
                    **policies.MOVE_MONEY,
                )
            except ActivityError as error:
                refused = _failure(error) == Failure.REFUSED
                if refused:
                    refusals_taken -= 1
                    await self._flag(f"{summary}: {error.cause}")
                else:
                    self.unknown.begin(operation, checks=1)
                await self.look_up()
                if refusals_taken == 0:
                    return
                proven = not refused and await self._is_surely_undone(done)
            else:
                proven = False
                await self._adopt(learnt)

    async def _is_surely_undone(self, done: Callable[[], bool]) -> bool:
        """Look at growing pauses until it is done, or certain not to be."""
        surely = workflow.patched(ABSENCE_IS_PROVEN_FIRST)
        absent = not surely
        while not (done() or absent):
            await self._wait_for_check(done)
            if not done():
                decision = self.unknown.decision
                absent = await self.look_up()
                self.unknown.has_checked(decision)
        await self.unknown.is_over()
        return surely

    async def _wait_for_check(self, news: Callable[[], bool]) -> None:
        wait = await self.unknown.next_check()
        await self._until(lambda: news() or self.unknown.is_called, wait)

    def _has_moved_on(self, done: Callable[[], bool], since: State) -> bool:
        return done() or self._known.payment.state is not since

    async def release_hold(self) -> None:
        """Void, unless it turns out to be captured. An expired checkout may still have a payment
        open at the gateway, which the shopper could yet approve."""
        may_be_late = self._may_have_arrived_late()
        if self._known.payment.transaction_id is None and may_be_late:
            await self.look_up()
        if self._known.payment.transaction_id is None:
            return
        await self._move_money(
            Operation.VOID,
            PaymentActivities.void_payment,
            f"Release {self._order.amount}",
            lambda: self._known.payment.state is State.VOIDED or self._known.payment.captured > 0,
            refusals_taken=RELEASE_REFUSALS_TAKEN,
        )
        nothing_taken = not self._known.payment.captured
        if may_be_late and nothing_taken and workflow.patched(LATE_IS_LOOKED_FOR):
            await self._release(None)

    def _may_have_arrived_late(self) -> bool:
        """Whether an attempt was sent of which the gateway knew nothing when we asked."""
        tried = self._known.payment.attempts.values()
        return any(t.decline is not None and t.decline.code == NOT_CHARGED for t in tried)

    async def _release(self, transaction_id: str | None) -> None:
        """Money that the order has no use for: it has another payment, or is over."""
        learnt = await workflow.execute_activity_method(
            PaymentActivities.release_payment,
            ReleaseInput(
                self._order.order_id,
                workflow.info().start_time,
                self._known.latest_attempt,
                transaction_id,
            ),
            summary=f"Release {transaction_id or 'what came late'}: the order has no use for it",
            **policies.LOOK_UP,
        )
        self._known.learn(learnt.facts)

    def _money(self, amount: Money, number: int) -> MoneyInput:
        return MoneyInput(
            self._order.order_id,
            self._transaction_id(),
            amount,
            number,
            self._known.latest_attempt,
        )

    def _transaction_id(self) -> str:
        transaction_id = self._known.payment.transaction_id
        if transaction_id is None:
            raise ApplicationError("no gateway payment to act on", non_retryable=True)
        return transaction_id


def _failure(error: ActivityError) -> str | None:
    return error.cause.type if isinstance(error.cause, ApplicationError) else None
