"""A pooler between the node and PostgreSQL that gives each transaction another session: pgbouncer in that mode.

A fake stands for it, that says what pgbouncer says where the two cannot work together.
"""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from tocsin.errors import Refused
from tocsin.store.transaction import Store

_SSL_REQUEST = 80877103
_READY = b"Z" + struct.pack("!ic", 5, b"I")
_LET_IN = b"R" + struct.pack("!ii", 8, 0)
_SETTINGS = (("server_version", "16.4"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on"))

STARTUP = ("08P01", "unsupported startup parameter: jit")
TAKEN = ("42P05", 'prepared statement "__asyncpg_stmt_1__" already exists')
GONE = ("26000", 'prepared statement "__asyncpg_stmt_2__" does not exist')


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _error(state: str, text: str) -> bytes:
    fields = (("S", "ERROR"), ("V", "ERROR"), ("C", state), ("M", text))
    return _message(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields) + b"\0")


class Pooler:
    """Speaks as much of PostgreSQL's protocol as a connection begins with."""

    def __init__(self, says: tuple[str, str]) -> None:
        self._says = says

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await self._opening(reader)) == _SSL_REQUEST:
            writer.write(b"N")
        if self._says == STARTUP:
            writer.write(_error(*STARTUP))
            return
        told = [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in _SETTINGS]
        writer.write(_LET_IN + b"".join(told) + _READY)
        while True:
            kind = await reader.readexactly(1)
            await reader.readexactly(struct.unpack("!i", await reader.readexactly(4))[0] - 4)
            match kind:
                case b"P":
                    writer.write(_error(*self._says))
                case b"Q":
                    writer.write(_message(b"C", b"OK\0") + _READY)
                case b"S":
                    writer.write(_READY)
                case b"X":
                    return
            await writer.drain()

    async def _opening(self, reader: asyncio.StreamReader) -> int:
        size, code = struct.unpack("!ii", await reader.readexactly(8))
        await reader.readexactly(size - 8)
        return code


@asynccontextmanager
async def pooled(says: tuple[str, str]):
    server = await asyncio.start_server(Pooler(says).talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://tocsin@127.0.0.1:{port}/tocsin"


@pytest.mark.parametrize("opening", [Store.open, Store.create])
@pytest.mark.parametrize("says", [STARTUP, TAKEN, GONE])
async def test_a_pooler_that_keeps_no_session_is_refused_with_what_to_do(opening, says):
    async with pooled(says) as url:
        with pytest.raises(Refused) as why:
            await opening(url)
    assert says[1] in str(why.value)
    assert "pgbouncer" in str(why.value)
    assert "PostgreSQL itself" in str(why.value)
