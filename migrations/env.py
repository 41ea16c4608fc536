"""Runs the migrations on the database that the caller names (see app/db/migrate.py)."""

from alembic import context
from sqlalchemy import create_engine
from sqlmodel import SQLModel

import app.db.tables  # noqa: F401  # fills the metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", hide_parameters=True)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
