"""Passing: which errors of the database another attempt may not meet. The drivers' own codes, in one place.

A file that does not read back what was written is among them: it is the disk that fails, not what was asked, and
the answer may be another once somebody has looked after it.
"""

import sqlite3

import asyncpg

from tocsin.errors import NoRoom, Unavailable

_SQLITE_NO_ROOM = (13, 4874)  # FULL; IOERR_SHMSIZE: no room for the index of the journal
_SQLITE_NO_DATABASE = frozenset({11, 26})  # CORRUPT, NOTADB
# SQLite result codes: BUSY, LOCKED, IOERR, FULL, CANTOPEN, PROTOCOL.
_SQLITE_PASSING = frozenset({5, 6, 10, 13, 14, 15, *_SQLITE_NO_DATABASE})
# PostgreSQL: connection, rollback (serialisation, deadlock), resources, operator intervention, the system's own
# (such as a disk that fails), lock not had, idle for too long, damaged data or index.
_POSTGRESQL_PASSING = ("08", "40", "53", "57", "58", "55P03", "25P03", "XX001", "XX002")
_POSTGRESQL_FULL = "53100"
_POSTGRESQL_NOT_LET_IN = ("28", "3D")  # wrong user or password, no such database
_POSTGRESQL_ANOTHER_SESSION = ("42P05", "26000")  # a prepared statement is there, or is not, against expectation
_POSTGRESQL_PROTOCOL = "08P01"  # what pgbouncer says of a setting that it does not hand on, among others

# The last is what a connection says that was lost a moment ago: "protocol is in the failed state".
ASYNCPG_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

DRIVER_ERRORS = (sqlite3.Error, *ASYNCPG_ERRORS)


def passing(cause: BaseException) -> bool:
    """Whether the same may succeed when asked again."""
    if isinstance(cause, sqlite3.Error):
        return _code(cause) in _SQLITE_PASSING
    if isinstance(cause, asyncpg.InternalClientError):
        return True
    return _state(cause).startswith(_POSTGRESQL_PASSING)


def unavailable(cause: BaseException) -> Unavailable:
    """What passes, in words."""
    if getattr(cause, "sqlite_errorcode", None) in _SQLITE_NO_ROOM or _state(cause) == _POSTGRESQL_FULL:
        return NoRoom(f"the disk of the database is full: {cause}")
    return Unavailable(f"the database cannot do this now: {cause or 'it does not answer'}")


def no_database(cause: BaseException) -> bool:
    """Whether a SQLite file is no database, or a damaged one."""
    return isinstance(cause, sqlite3.Error) and _code(cause) in _SQLITE_NO_DATABASE


def not_let_in(cause: BaseException) -> bool:
    """Whether PostgreSQL refused who we are, or where we want to go."""
    return _state(cause).startswith(_POSTGRESQL_NOT_LET_IN)


def pooled(cause: BaseException) -> bool:
    """Whether this is said where a pooler stands before PostgreSQL and gives us now one session, now another."""
    state = _state(cause)
    return state in _POSTGRESQL_ANOTHER_SESSION or (
        state == _POSTGRESQL_PROTOCOL and "startup parameter" in str(cause)
    )


def _code(cause: sqlite3.Error) -> int | None:
    """The primary result code; None for an error of the driver itself."""
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _state(cause: BaseException) -> str:
    return getattr(cause, "sqlstate", None) or ""
