"""The table of contents: which part does which work. Stand-ins are injected here, nowhere else."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from limits.aio.storage import RedisStorage
from pydantic import SecretStr
from redis.asyncio import ConnectionPool
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from app.activities.callbacks import CallbackActivities
from app.activities.disputes import DisputeActivities
from app.activities.fulfilment import fulfilment_activities
from app.activities.payment import PaymentActivities
from app.activities.personal_data import PersonalDataActivities
from app.activities.reconciliation import ReconciliationActivities
from app.activities.refunds import RefundActivities
from app.activities.stranded import StrandedActivities
from app.activities.unknown import UnknownActivities
from app.attempt_limits import AttemptLimits
from app.config import Settings
from app.db.api_keys import ApiKeys
from app.db.attempt_counts import PostgresCounts
from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.db.reconciliation import PostgresReconciliations
from app.db.records import PostgresRecords
from app.db.roles import RoleError, require_lesser
from app.db.unsettled import UnsettledAttempts
from app.domain.fulfilment import FulfilmentStep
from app.domain.gateway import Gateway
from app.domain.reconciliation import Reconciliations
from app.domain.records import Records
from app.fulfilment.reserve_stock import ReserveStock
from app.fulfilment.send_receipt import MailServer, SendReceipt
from app.fulfilment.ship_order import ShipOrder
from app.gateways.generic import GenericCallbacks
from app.gateways.stripe import StripeGateway
from app.temporal.client import connect
from app.temporal.delivery import CallbackDelivery
from app.workflows.starts import PaymentStarts

# An order that a storefront may still be asking about is not stranded.
STRANDED_SLACK = timedelta(minutes=5)


@dataclass(frozen=True)
class Parts:
    """Everything a process works with."""

    settings: Settings
    gateway: Gateway
    generic_callbacks: GenericCallbacks
    steps: tuple[FulfilmentStep, ...]
    api_keys: ApiKeys
    attempt_limits: AttemptLimits
    unsettled_attempts: UnsettledAttempts
    audit: AuditTrail
    records: Records
    reconciliations: Reconciliations
    temporal: Client
    delivery: CallbackDelivery
    starts: PaymentStarts
    close: Callable[[], Awaitable[None]]  # lets go of every connection

    def activities(self) -> list[Callable[..., Any]]:
        """What the worker runs."""
        return activities(
            self.gateway,
            self.steps,
            self.records,
            self.reconciliations,
            self.delivery,
            self.starts,
            self.temporal,
            timedelta(days=self.settings.personal_data_retention_days),
        )


def activities(
    gateway: Gateway,
    steps: Sequence[FulfilmentStep],
    records: Records,
    reconciliations: Reconciliations,
    delivery: CallbackDelivery,
    starts: PaymentStarts,
    temporal: Client,
    personal_data_retention: timedelta,
) -> list[Callable[..., Any]]:
    """Every activity there is, on these parts."""
    payment = PaymentActivities(gateway, records)
    refunds = RefundActivities(gateway, records)
    reconciliation = ReconciliationActivities(gateway, records, reconciliations)
    stranded = StrandedActivities(
        records,
        partial(starts.start_unattempted, temporal),
        timedelta(seconds=starts.expiry_seconds) + STRANDED_SLACK,
    )
    return [
        payment.authorize_payment,
        payment.look_up_payment,
        payment.capture_payment,
        payment.void_payment,
        payment.release_payment,
        payment.record_facts,
        refunds.note_refund,
        refunds.make_refund,
        refunds.look_up_refund,
        UnknownActivities(records).note_unknown,
        DisputeActivities(gateway, records).look_up_dispute,
        CallbackActivities(records, delivery.deliver_waiting).deliver_callbacks,
        stranded.start_stranded,
        PersonalDataActivities(records, personal_data_retention).erase_personal_data,
        reconciliation.begin_reconciliation,
        reconciliation.take_in_events,
        reconciliation.compare_payments,
        reconciliation.compare_refunds,
        reconciliation.compare_disputes,
        reconciliation.compare_movements,
        reconciliation.look_for_ours,
        reconciliation.look_again,
        reconciliation.flag_differences,
        reconciliation.finish_reconciliation,
        *fulfilment_activities(steps, records),
    ]


def build_gateway(settings: Settings) -> StripeGateway:
    """The gateway that takes the payments."""
    return StripeGateway(
        api_key=settings.stripe_api_key.get_secret_value(),
        api_base=settings.stripe_api_base,
        authority=settings.stripe_ca_cert_path,
        webhook_secrets=_values(settings.stripe_webhook_secret),
        timeout_seconds=settings.gateway_timeout_seconds,
        methods=settings.payment_methods,
    )


def build_steps(settings: Settings, engine: AsyncEngine) -> tuple[FulfilmentStep, ...]:
    """The fulfilment plan, in order."""
    password = settings.smtp_password
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.mail_from,
        settings.smtp_username,
        password.get_secret_value() if password is not None else None,
        settings.smtp_tls,
    )
    return (ReserveStock(engine), ShipOrder(engine), SendReceipt(engine, server))


def build_redis(url: str) -> tuple[RedisStorage, ConnectionPool]:
    """Where attempts are counted, and its connections. Connects at first use."""
    pool = ConnectionPool.from_url(url)
    storage = RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="tillflow",
        connection_pool=pool,  # type: ignore[arg-type]  # its annotation forgets this one
    )
    return storage, pool


async def build(settings: Settings, *, lazy_temporal: bool = False) -> Parts:
    """All parts from `settings`. With `lazy_temporal` it does not wait for Temporal.

    Raises RoleError outside the embedded stack where the database lets us do too much.
    """
    engine = create_engine(settings.database_url.get_secret_value())
    if not settings.embedded:
        try:
            await require_lesser(engine)
        except RoleError:
            await engine.dispose()
            raise
    gateway = build_gateway(settings)
    records = PostgresRecords(engine, gateway.name, settings.keyring())
    steps = build_steps(settings, engine)
    temporal = await connect(settings, lazy=lazy_temporal)
    audit = AuditTrail(engine, settings.keyring())

    url = settings.redis_url
    redis, pool = build_redis(url.get_secret_value()) if url is not None else (None, None)

    async def close() -> None:
        await audit.close()
        await gateway.close()
        if pool is not None:
            await pool.aclose()
        await engine.dispose()

    return Parts(
        settings=settings,
        gateway=gateway,
        generic_callbacks=GenericCallbacks(_values(settings.callback_secret)),
        steps=steps,
        api_keys=ApiKeys(engine, embedded=settings.embedded),
        attempt_limits=AttemptLimits(
            {
                "order": settings.declines_per_order,
                "card": settings.declines_per_card,
                "address": settings.declines_per_address,
                "key": settings.declines_per_key,
            },
            settings.keyring(),
            PostgresCounts(engine),
            redis,
        ),
        unsettled_attempts=UnsettledAttempts(engine),
        audit=audit,
        records=records,
        reconciliations=PostgresReconciliations(engine),
        temporal=temporal,
        delivery=CallbackDelivery(temporal, records, settings.task_queue),
        starts=PaymentStarts(
            gateway.name,
            [step.plan for step in steps],
            settings.task_queue,
            settings.checkout_expiry_seconds,
            settings.callback_grace_seconds,
            settings.unknown_age_limit_seconds,
        ),
        close=close,
    )


def _values(secrets: Sequence[SecretStr]) -> tuple[str, ...]:
    return tuple(secret.get_secret_value() for secret in secrets)
