"""The tables. Written by `PostgresRecords`, `ApiKeys`, `PostgresCounts`, `UnsettledAttempts` and
the fulfilment steps, each its own."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from app.domain.payment import NAMES_TRANSACTION

# An index and a query must say these in the same words, or the query cannot use the index.
fact_reference = literal_column("(fact ->> 'reference')", String)
names_transaction = literal_column(
    "event IN ({})".format(", ".join(f"'{event}'" for event in sorted(NAMES_TRANSACTION))), Boolean
)
has_personal_data = literal_column(
    "coalesce(sealed_email, sealed_mandate, customer_email, mandate::text) IS NOT NULL", Boolean
)


def _now() -> Any:
    return Column(DateTime(timezone=True), server_default=func.now(), nullable=False)


def _time() -> Any:
    return Column(DateTime(timezone=True), nullable=True)


class OrderRow(SQLModel, table=True):
    """An order as the storefront placed it, and where it stands."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_personal", "created_at", "order_id", postgresql_where=has_personal_data),
    )

    order_id: str = Field(primary_key=True, max_length=64)
    amount: int = Field(sa_type=BigInteger)  # minor units
    currency: str = Field(max_length=3)
    capture: str
    details: dict[str, Any] = Field(sa_column=Column("metadata", JSONB, nullable=False))
    customer_id: str | None = Field(default=None, max_length=64, index=True)  # the storefront's
    sealed_email: str | None = None
    sealed_mandate: str | None = None
    # In clear, from before there were sealed columns. Nothing is written here any more.
    customer_email: str | None = None
    mandate: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    state: str
    created_at: datetime | None = Field(default=None, sa_column=_now())


class PaymentRow(SQLModel, table=True):
    """The payment of an order: the projection of its facts, for lists and for SQL."""

    __tablename__ = "payments"
    __table_args__ = (Index("ix_payments_created_at_order_id", "created_at", "order_id"),)

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", max_length=64)
    payment_id: str = Field(unique=True)
    gateway: str
    state: str = Field(index=True)
    currency: str = Field(max_length=3)
    amount: int = Field(sa_type=BigInteger)
    authorized: int = Field(sa_type=BigInteger)
    captured: int = Field(sa_type=BigInteger)
    refunded: int = Field(sa_type=BigInteger)
    refunds_pending: int = Field(sa_type=BigInteger)
    disputed: int = Field(sa_type=BigInteger)
    transaction_id: str | None = Field(default=None, index=True)
    method: str | None = None  # as it may be shown
    method_type: str | None = None
    needs_attention: bool = Field(index=True)
    created_at: datetime = Field(sa_column=_now())
    updated_at: datetime | None = Field(default=None, sa_column=_now())


class PaymentEventRow(SQLModel, table=True):
    """One fact. Append-only: a trigger refuses updates and deletes."""

    __tablename__ = "payment_events"
    __table_args__ = (
        UniqueConstraint("order_id", "key"),
        Index("ix_payment_events_transaction", fact_reference, postgresql_where=names_transaction),
        # Facts are added in the order of time: a few blocks' worth of index finds an hour of them.
        Index("ix_payment_events_recorded_at", "recorded_at", postgresql_using="brin"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    order_id: str = Field(foreign_key="orders.order_id", max_length=64)
    key: str
    event: str
    fact: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    recorded_at: datetime | None = Field(default=None, sa_column=_now())


class JournalRow(SQLModel, table=True):
    """One side of a ledger entry. Append-only, and a trigger refuses what does not balance."""

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint(
            "order_id", "entry", "account", "currency", postgresql_nulls_not_distinct=True
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    order_id: str | None = Field(default=None, foreign_key="orders.order_id", max_length=64)
    entry: str  # the fact's key, or the gateway's id of a payout, which is of no order
    account: str
    currency: str = Field(max_length=3)
    amount: int = Field(sa_type=BigInteger)  # minor units; a debit is positive, a credit negative
    at: datetime = Field(sa_type=DateTime(timezone=True))


class UnknownOutcomeRow(SQLModel, table=True):
    """An operation at the gateway whose outcome is not known, and when it is asked about next."""

    __tablename__ = "unknown_outcomes"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", max_length=64)
    operation: str = Field(primary_key=True)
    refund: str = Field(primary_key=True)  # our name of it; empty where it is none
    since: datetime = Field(sa_type=DateTime(timezone=True))
    next_check_at: datetime = Field(sa_type=DateTime(timezone=True))


class CallbackRow(SQLModel, table=True):
    """The inbox: a verified callback, and what became of it. A foreign one is of no order."""

    __tablename__ = "callbacks"
    __table_args__ = (
        UniqueConstraint("gateway", "event_id"),
        Index(
            "ix_callbacks_waiting",
            "order_id",
            "created_at",
            "id",
            postgresql_where="delivered_at IS NULL",
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    gateway: str
    event_id: str
    type: str
    order_id: str | None = Field(
        default=None, foreign_key="orders.order_id", max_length=64, index=True
    )
    event: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(sa_type=DateTime(timezone=True))  # by the gateway's clock
    received_at: datetime = Field(sa_column=_now())
    delivered_at: datetime | None = Field(default=None, sa_column=_time())
    outcome: str | None = None
    failures: int = Field(default=0, sa_column=Column(Integer, server_default="0", nullable=False))
    last_error: str | None = None
    next_try_at: datetime | None = Field(default=None, sa_column=_time())


class CustomerRow(SQLModel, table=True):
    """A storefront's customer, and who that is at a gateway."""

    __tablename__ = "customers"

    gateway: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True, max_length=64)
    gateway_id: str
    created_at: datetime | None = Field(default=None, sa_column=_now())


class ApiKeyRow(SQLModel, table=True):
    """Who may call the API. Of a key's secret only a hash is kept."""

    __tablename__ = "api_keys"

    key_id: str = Field(primary_key=True)
    client: str = Field(index=True, max_length=64)
    secret_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    created_at: datetime = Field(sa_column=_now())
    expires_at: datetime | None = Field(default=None, sa_column=_time())
    revoked_at: datetime | None = Field(default=None, sa_column=_time())
    last_used_on: date | None = None


class AuditRow(SQLModel, table=True):
    """One entry of the audit trail. Append-only, and each is bound to the one before."""

    __tablename__ = "audit"

    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_type=DateTime(timezone=True))
    who: str | None = None
    key_id: str | None = None
    source: str
    what: str
    object: str | None = Field(default=None, index=True)
    result: str
    mac_key: str  # the id of an encryption key
    mac: bytes = Field(sa_type=LargeBinary)


class AuditEndRow(SQLModel, table=True):
    """Where the audit trail ends: one row, which its writers lock. `seal` is that of the last row,
    which nobody without the encryption keys can make."""

    __tablename__ = "audit_end"

    one: bool = Field(default=True, primary_key=True)
    number: int = Field(sa_type=BigInteger)
    seal: bytes = Field(sa_type=LargeBinary)


class ReconciliationRow(SQLModel, table=True):
    """A comparison of a period's money with the gateway's, and what it came to."""

    __tablename__ = "reconciliations"

    reconciliation_id: str = Field(primary_key=True)
    since: datetime = Field(sa_type=DateTime(timezone=True))  # by the gateway's clock
    until: datetime = Field(sa_type=DateTime(timezone=True))
    started_at: datetime = Field(sa_column=_now())
    finished_at: datetime | None = Field(default=None, sa_column=_time())
    counts: list[Any] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    sums: list[Any] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))


class FindingRow(SQLModel, table=True):
    """What comparing one thing came to. What matches is deleted once it is counted."""

    __tablename__ = "reconciliation_findings"
    __table_args__ = (
        UniqueConstraint("reconciliation_id", "kind", "reference"),
        # Few of a run differ: they are read again and again, page by page.
        Index("ix_reconciliation_findings_verdict", "reconciliation_id", "verdict", "id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    reconciliation_id: str = Field(foreign_key="reconciliations.reconciliation_id")
    kind: str
    reference: str
    verdict: str
    order_id: str | None = Field(default=None, max_length=64, index=True)
    transaction_id: str | None = None
    ours: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    theirs: list[Any] = Field(sa_column=Column(JSONB, nullable=False))


class AttemptCountRow(SQLModel, table=True):
    """How many attempts to pay somebody made that came to nothing, in this window and the one
    before. Empty after a crash of the server, and never in its log or on its standby."""

    __tablename__ = "attempt_counts"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    name: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger)
    previous: int = Field(sa_type=BigInteger)
    current: int = Field(sa_type=BigInteger)
    ends_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False, index=True))


class UnsettledAttemptRow(SQLModel, table=True):
    """An attempt to pay whose end is not known, and under which names it is counted. As lasting as
    the counts."""

    __tablename__ = "unsettled_attempts"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    order_id: str = Field(primary_key=True, max_length=64)
    attempt: int = Field(primary_key=True)
    names: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))


class StockRow(SQLModel, table=True):
    """How many of an article can still be sold."""

    __tablename__ = "stock"

    sku: str = Field(primary_key=True)
    available: int = Field(sa_type=BigInteger)


class ReservationRow(SQLModel, table=True):
    """Stock set aside for an order."""

    __tablename__ = "reservations"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", max_length=64)
    sku: str
    quantity: int
    reserved_at: datetime | None = Field(default=None, sa_column=_now())
    released_at: datetime | None = Field(default=None, sa_column=_time())


class ShipmentRow(SQLModel, table=True):
    """An order handed to the warehouse."""

    __tablename__ = "shipments"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", max_length=64)
    shipped_at: datetime | None = Field(default=None, sa_column=_now())
    canceled_at: datetime | None = Field(default=None, sa_column=_time())


class ReceiptRow(SQLModel, table=True):
    """A receipt that was mailed."""

    __tablename__ = "receipts"

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", max_length=64)
    message_id: str
    sent_at: datetime | None = Field(default=None, sa_column=_now())
    withdrawn_at: datetime | None = Field(default=None, sa_column=_time())
