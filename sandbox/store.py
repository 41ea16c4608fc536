"""Everything the sandbox remembers, in one SQLite file and one connection.

Handlers run on the event loop without awaiting, so a transaction is never interleaved with another.
WAL with synchronous=NORMAL: a commit is handed to the operating system before the answer is sent,
which is what survives kill -9. Only a power cut could lose the last commits, and the money here is
not real; FULL would pay for an fsync on every call.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL,
    private TEXT NOT NULL DEFAULT '{}',
    payment_intent TEXT GENERATED ALWAYS AS (json_extract(body, '$.payment_intent')) VIRTUAL,
    charge TEXT GENERATED ALWAYS AS (json_extract(body, '$.charge')) VIRTUAL,
    customer TEXT GENERATED ALWAYS AS (json_extract(body, '$.customer')) VIRTUAL,
    type TEXT GENERATED ALWAYS AS (json_extract(body, '$.type')) VIRTUAL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_intent ON objects (payment_intent)
    WHERE payment_intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_charge ON objects (charge) WHERE charge IS NOT NULL;
CREATE TABLE IF NOT EXISTS movements (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    created INTEGER NOT NULL,
    payment_intent TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN
        ('authorized', 'captured', 'released', 'refunded', 'refund_returned',
         'disputed', 'dispute_returned')),
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS movements_by_intent ON movements (payment_intent);
CREATE TABLE IF NOT EXISTS kept_answers (
    key TEXT PRIMARY KEY,
    created REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    request_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_answers_by_age ON kept_answers (created);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'delivered', 'dropped', 'given_up')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    next_at REAL NOT NULL,
    order_id TEXT,
    mode TEXT,
    accepted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, next_at);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event, state);
CREATE TABLE IF NOT EXISTS faults_met (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    created REAL NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    mode TEXT NOT NULL,
    outcome TEXT NOT NULL,
    moved INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS timers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due REAL NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
CREATE INDEX IF NOT EXISTS timers_by_object ON timers (object);
"""

# What later versions added to a table that is there already.
_ADDED = {
    "deliveries": {
        "order_id": "TEXT",
        "mode": "TEXT",
        "accepted": "INTEGER NOT NULL DEFAULT 0",
    },
}


@dataclass(frozen=True)
class Record:
    """An object as the API shows it (`body`) and what only the sandbox knows of it (`private`)."""

    body: Json
    private: Json


class Store:
    """The database. Writing outside `transaction()` commits at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(_SCHEMA)
        for table, columns in _ADDED.items():
            known = {row[1] for row in self.db.execute(f"PRAGMA table_info({table})")}
            for name, kind in columns.items():
                if name not in known:
                    self.db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or, when it raises, none of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def meta(self, name: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def hash_key(self) -> bytes:
        """The random key of every keyed hash, made on first use."""
        known = self.meta("hash_key")
        if known is None:
            known = secrets.token_hex(32)
            self.set_meta("hash_key", known)
        return bytes.fromhex(known)

    def insert(self, kind: str, body: Json, private: Json | None = None) -> None:
        self.db.execute(
            "INSERT INTO objects (id, kind, created, body, private) VALUES (?, ?, ?, ?, ?)",
            (body["id"], kind, body["created"], json.dumps(body), json.dumps(private or {})),
        )

    def save(self, body: Json, private: Json | None = None) -> None:
        """Write an object back; `private` stays as it was unless given."""
        self.db.execute(
            "UPDATE objects SET body = ?, private = coalesce(?, private) WHERE id = ?",
            (json.dumps(body), None if private is None else json.dumps(private), body["id"]),
        )

    def delete(self, object_id: str) -> None:
        self.db.execute("DELETE FROM objects WHERE id = ?", (object_id,))

    def find(self, kind: str, object_id: str) -> Record | None:
        row = self.db.execute(
            "SELECT body, private FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
        ).fetchone()
        return None if row is None else Record(json.loads(row[0]), json.loads(row[1]))

    def kind(self, object_id: str) -> str | None:
        """What kind of object has this id; None when there is none."""
        row = self.db.execute("SELECT kind FROM objects WHERE id = ?", (object_id,)).fetchone()
        return None if row is None else str(row[0])

    def all(self, kind: str) -> list[Record]:
        rows = self.db.execute(
            "SELECT body, private FROM objects WHERE kind = ? ORDER BY seq", (kind,)
        )
        return [Record(json.loads(body), json.loads(private)) for body, private in rows]

    def clear_timer(self, action: str, object_id: str) -> None:
        """It is no longer needed."""
        self.db.execute("DELETE FROM timers WHERE action = ? AND object = ?", (action, object_id))

    def set_timer(self, due: float, action: str, object_id: str) -> None:
        """Have `action` done to the object when the sandbox's clock reaches `due`."""
        self.db.execute(
            "INSERT INTO timers (due, action, object) VALUES (?, ?, ?)", (due, action, object_id)
        )
