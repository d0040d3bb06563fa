"""Migrations: how the schema came to be, one revision after the other (Alembic)."""

from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tocsin.errors import Refused

_UPGRADE_LOCK = 0x746F6373696E  # of PostgreSQL, held to the end of the transaction


@dataclass(frozen=True, slots=True)
class Revision:
    """The schema that a database has (None: no schema at all), and the newest that we know."""

    found: str | None
    newest: str
    unknown: bool  # found, but not by us: made by a newer version


def revision_of(connection: Connection) -> Revision:
    script = ScriptDirectory.from_config(_config())
    found = MigrationContext.configure(connection).get_current_revision()
    newest = script.get_current_head()
    assert newest is not None  # noqa: S101  (the package holds at least one revision)
    known = {revision.revision for revision in script.walk_revisions()}
    return Revision(found, newest, unknown=found is not None and found not in known)


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest schema inside the open transaction; a second process waits its turn."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise Refused("the database holds rows that refer to nothing: it was not upgraded; restore a backup")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(__name__)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
