"""Coding: answers made smaller on their way, as the client asks for it (RFC 9110 §8.4, §12.5.3).

zstd takes a third of the time of gzip for the same size or less; a page shrinks to a fifth, at the lowest levels
already. Large ones are coded in a thread, one for each processor but one, so that coding holds nobody up; who
comes then waits for it. Who does not ask for a coding gets none.

That a coded length tells of what is in it (as BREACH does) needs an answer that holds a secret beside something
that an attacker chose. Answers hold what their reader may see, and neither his token nor anything of his request.
A writer could post guesses next to somebody else's objects and watch how long a reader's answers are on the wire;
every guess is then an object under his name in the log, and what volumes on the network tell is outside of what we
promise (G2). A reader who minds does not accept a coding.
"""

import asyncio
import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from tocsin.taxii.negotiation import elements, quality

Coding = Literal["zstd", "gzip"]

FROM = 1024  # bytes; below it the header costs more than it saves
_IN_THREAD_FROM = 64 * 1024  # bytes; coding more than this would hold up other requests
_GZIP_LEVEL = 1  # 7 µs for a kilobyte and a half; level 6 takes 22 for a fifth less
_ZSTD_LEVEL = 1
_THREADS = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="coding")


def coding_for(header: str | None) -> Coding | None:
    """The coding that the client likes best; of equals zstd, then gzip; None where it would rather have none.

    `*` is taken for gzip alone: who writes it seldom means what was invented later.
    """
    if not header:
        return None
    weights = {name.lower(): quality(rest) for name, rest in elements(header)}
    zstd = weights.get("zstd", 0.0)
    gzip_ = next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), 0.0)
    if max(zstd, gzip_) <= 0 or max(zstd, gzip_) < weights.get("identity", 0.0):
        return None
    return "zstd" if zstd >= gzip_ else "gzip"


async def coded(body: bytes, coding: Coding) -> bytes:
    """The body in that coding. The same body gives the same bytes."""
    if len(body) < _IN_THREAD_FROM:
        return code(body, coding)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, code, body, coding)


def code(body: bytes, coding: Coding) -> bytes:
    """The same, here and now."""
    match coding:
        case "gzip":
            return gzip.compress(body, _GZIP_LEVEL, mtime=0)
        case "zstd":
            return _zstd(body)


def _zstd(body: bytes) -> bytes:
    import zstandard  # takes 20 ms to import, which only those pay whose clients ask for it

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
