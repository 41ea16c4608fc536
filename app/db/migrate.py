"""Brings the database to the newest migration."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from app.db.roles import let_use

_MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic_config(url: str) -> Config:
    """Alembic's settings for the database at `url` (postgresql+psycopg://…)."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(owner_url: str, service_url: str | None = None) -> None:
    """Apply every migration that the database has not had, and let the service's role, if that is
    another one, use what is there. Safe to repeat. Raises RoleError."""
    command.upgrade(alembic_config(owner_url), "head")
    if service_url is not None and make_url(service_url).username != make_url(owner_url).username:
        let_use(owner_url, service_url)
