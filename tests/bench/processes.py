"""Processes: starting servers, and what the kernel says of their CPU time and memory."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.1


class NotStarted(Exception):
    """Why a server cannot be had; a comparison goes on without it."""


@dataclass(slots=True)
class Server:
    """A process of ours that listens, with its log."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """End it; ungently if it does not end within ten seconds."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch(command: Sequence[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None) -> Server:
    """Start a process, its output in a file."""
    with log.open("wb") as out:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        return Server(
            subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=cwd, env=environment),
            log,
        )


def wait_for_port(server: Server, port: int, seconds: float = 60) -> None:
    """Until somebody answers there. Raises NotStarted with the end of the log."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            server.port = port
            return
        except OSError as why:
            if server.process.poll() is not None or time.monotonic() > deadline:
                server.stop()
                said = server.log.read_text(errors="replace").strip()
                raise NotStarted(f"{server.process.args!r}: {said[-500:]}") from why
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listened on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process, its living descendants, and those it waited for. 0 without a process."""
    if pid is None:
        return 0.0
    return sum(_own_cpu(one) for one in (pid, *_descendants(pid)))


def _own_cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS  # utime stime cutime cstime


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = [
            int(child)
            for file in Path(f"/proc/{pid}/task").glob("*/children")
            for child in file.read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield child
        yield from _descendants(child)


def anonymous_bytes(pid: int) -> int:
    """Memory that no file backs, in bytes, of a process and its living descendants; 0 once it has ended."""
    return sum(_own_anonymous(one) for one in (pid, *_descendants(pid)))


def _own_anonymous(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in text.splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(slots=True)
class Watched:
    """The most that was seen. `anonymous` in bytes."""

    anonymous: int = 0
    _end: threading.Event = field(default_factory=threading.Event, repr=False)

    def _watch(self, pid: int) -> None:
        while True:
            self.anonymous = max(self.anonymous, anonymous_bytes(pid))
            if self._end.wait(_SAMPLE_SECONDS):
                return


@contextmanager
def watching(pid: int | None) -> Iterator[Watched]:
    """Look at a process's memory ten times a second, and once more at the end."""
    watched = Watched()
    if pid is None:
        yield watched
        return
    thread = threading.Thread(target=watched._watch, args=(pid,), daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        watched._end.set()
        thread.join()
        watched.anonymous = max(watched.anonymous, anonymous_bytes(pid))
