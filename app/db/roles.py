"""Two roles in PostgreSQL: the owner, who migrates, and the service's, which uses the tables, owns
none of them and changes nothing that is append-only."""

from typing import Any

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import transaction
from app.domain.records import RecordsUnavailableError

APPEND_ONLY = ("audit", "journal", "payment_events")
_EVERYTHING = "ALL TABLES IN SCHEMA public"
# Each may be repeated. What the service may do is what stands here, whatever it was before.
_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    f"REVOKE ALL ON {_EVERYTHING} FROM {{role}}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_EVERYTHING} TO {{role}}",
    f"REVOKE UPDATE, DELETE ON {', '.join(APPEND_ONLY)} FROM {{role}}",
    "REVOKE INSERT, DELETE ON audit_end FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
)
# A superuser may do everything, and an owner may have the triggers disabled.
_TOO_MUCH = """
    SELECT coalesce(bool_or(
        pg_has_role(relowner, 'MEMBER') OR has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE')
    ), false)
    FROM pg_class
    WHERE oid = ANY(SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
    """
_TABLES = {"tables": list(APPEND_ONLY)}
_log = structlog.get_logger()


class RoleError(RecordsUnavailableError):
    """The database role cannot be made, or may do too much: nothing is written with it. The text is
    for a person."""


def let_use(owner_url: str, service_url: str) -> None:
    """Have the role of `service_url` use the tables of `owner_url`; it is made if there is none.

    Raises RoleError.
    """
    owner, service = make_url(owner_url), make_url(service_url)
    name = service.username or ""
    engine = create_engine(owner, hide_parameters=True)
    try:
        with engine.begin() as transaction_:
            _let_use(transaction_.connection.driver_connection, name, service.password)
    except psycopg.errors.InsufficientPrivilege as error:
        raise RoleError(
            f"{owner.username} may not let {name} use the tables: {error.diag.message_primary}"
        ) from None
    finally:
        engine.dispose()


async def require_lesser(engine: AsyncEngine) -> None:
    """Raises RoleError where the service's role could change what is append-only.

    While the database is away nobody knows: then each later connection is asked before anything is
    done on it, and whoever wants one gets the same error.
    """
    try:
        async with transaction(engine) as session:
            connection = await session.connection()
            found = await connection.exec_driver_sql(_TOO_MUCH, _TABLES)
            too_much = found.scalar_one()
    except RecordsUnavailableError:
        _log.warning("the database is away: what its role may do is looked at when it is back")
        await engine.dispose()  # of every connection that was not asked
        listen(engine.sync_engine, "connect", _require_lesser)
        return
    if too_much:
        raise _too_much()


def _require_lesser(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(_TOO_MUCH, _TABLES)
    [too_much] = cursor.fetchone()
    cursor.close()
    connection.rollback()
    if too_much:
        connection.close()
        error = _too_much()
        _log.error(str(error))
        raise error


def _too_much() -> RoleError:
    return RoleError(
        "the role in DATABASE_URL owns the tables, or may change what is append-only: name "
        "another one there, the owner in DATABASE_OWNER_URL, and run tillflow migrate"
    )


def _let_use(connection: Any, name: str, password: str | None) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if found.fetchone() is None:
        _create(connection, name, password)
    for grant in _GRANTS:
        connection.execute(sql.SQL(grant).format(role=sql.Identifier(name)))


def _create(connection: Any, name: str, password: str | None) -> None:
    create = sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name))
    if password is not None:
        # Encrypted here: the server may log statements.
        encrypted = connection.pgconn.encrypt_password(
            password.encode(), name.encode(), b"scram-sha-256"
        )
        create += sql.SQL(" PASSWORD {}").format(encrypted.decode())
    connection.execute(create)
