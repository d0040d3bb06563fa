"""Ahead: a second process that reads and translates the next records while those before them are stored.

Reading and translating need no database, and take a good third of an import's time. The other process
(`python -m tocsin.intake.ahead`) is told what to read on its standard input and answers on its standard output
with one message for each batch, in order. The pipe holds few of them, so it is never far ahead, whatever the size
of the files. It knows no secret and stores nothing: whenever either of the two is killed, what was committed
stays, and the next import goes on from there.
"""

import asyncio
import gc
import json
import os
import pickle
import signal
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from tocsin.errors import TocsinError, Unavailable
from tocsin.intake.formats import BadRecord
from tocsin.intake.mapping import load_mapping
from tocsin.intake.reading import Translated, translated
from tocsin.settings import Home

WORTH_IT = 4_000_000  # bytes to read from which a second process saves more than its start costs
_HELD = 1_000_000  # bytes of answers that wait on this side of the pipe
_LENGTH = 8  # bytes before each message that say how long it is

Batch = list[Translated | BadRecord]


def is_worth_it(paths: Sequence[Path]) -> bool:
    """Whether there is so much to read, and a processor to read it on."""
    if (os.cpu_count() or 1) < 2 or not all(path.is_file() or path.is_dir() for path in paths):
        return False  # what is no file, such as a pipe, may be open in this process alone
    total = 0
    for size in _sizes(paths):
        total += size
        if total >= WORTH_IT:
            return True
    return False


async def batches_ahead(home: Home, format_: str, paths: Sequence[Path], size: int) -> AsyncGenerator[Batch, None]:
    """What `translated` gives for these files, `size` at a time, read by another process.

    Raises what reading them here would raise, and Unavailable where that process comes to an untimely end.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing is imported from the folder where a person happens to be
        "-m",
        "tocsin.intake.ahead",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_HELD,
        process_group=0,  # ^C is for this process, which then ends the other
    )
    assert process.stdin is not None  # noqa: S101  (it is a pipe; for the type checker)
    assert process.stdout is not None  # noqa: S101  (the same)
    try:
        told = {"home": str(home.path), "format": format_, "paths": [str(path) for path in paths], "size": size}
        try:
            process.stdin.write(json.dumps(told).encode())
            process.stdin.write_eof()
            while batch := await _received(process.stdout):
                yield batch
        except (asyncio.IncompleteReadError, ConnectionError) as why:
            raise Unavailable(_untimely(await process.wait())) from why
    finally:
        if process.returncode is None:
            process.kill()
        await process.stdout.read()  # what nobody wants any more, so that the pipe ends too
        await process.wait()


async def _received(answers: asyncio.StreamReader) -> Batch:
    """The next batch, an empty one at the end."""
    length = int.from_bytes(await answers.readexactly(_LENGTH))
    said: Batch | Exception = pickle.loads(await answers.readexactly(length))  # noqa: S301  (from our own child)
    if isinstance(said, Exception):
        raise said
    return said


def _untimely(code: int) -> str:
    how = f"was killed (signal {-code})" if code < 0 else f"ended with {code}"
    return f"the process that reads the records {how}; what was stored stays: import again to go on"


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        for file in files if path.is_dir() else (path,):
            try:
                yield file.stat().st_size
            except OSError:
                yield 0  # what cannot be read is said by who reads it


# --- the other process ---------------------------------------------------------------------------------------


def _main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.load(sys.stdin)
    try:
        for message in _messages(told):
            _send(answers, message)
    except BrokenPipeError:
        os._exit(0)  # nobody is there any more who would want the rest


def _messages(told: dict[str, Any]) -> Iterator[Batch | Exception]:
    try:
        rules = load_mapping(told["format"], Home(Path(told["home"])))
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # translations are many objects, and not one circle
        items = translated(rules, [Path(path) for path in told["paths"]])
        while batch := list(islice(items, told["size"])):
            yield batch
        yield []
    except (TocsinError, OSError) as why:
        yield why


def _send(answers: BinaryIO, message: Batch | Exception) -> None:
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    answers.write(len(content).to_bytes(_LENGTH))
    answers.write(content)
    answers.flush()


if __name__ == "__main__":
    _main()
