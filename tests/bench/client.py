"""Client: lean HTTP/1.1 over plain sockets, many connections in one thread, so that it is never the bottleneck.

A client is a generator: it yields a request (bytes) and is sent the Answer, or yields a number of seconds to wait.
`drive` runs many of them, each on a connection of its own, and clocks every request from its first byte sent to
its last byte received. What a generator does with an answer is off that clock (but in the wall time of all).
"""

import heapq
import select
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

Script = Generator["bytes | float", "Answer | None", None]

_CHUNK = 1 << 20
PATIENCE = 300.0  # seconds without any event after which a server counts as hung


class Broken(Exception):
    """A server said what the scenario cannot go on with."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. `seconds`: from the first byte sent to the last received."""

    status: int
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    seconds: float

    def header(self, name: str) -> str | None:
        """The value of a header; `name` in lower case."""
        key = b"\r\n" + name.encode() + b":"
        start = self.head.lower().find(key)
        if start < 0:
            return None
        end = self.head.find(b"\r\n", start + 2)
        return self.head[start + len(key) : end if end >= 0 else None].strip().decode("latin-1")


@dataclass(frozen=True, slots=True)
class Driven:
    """What came of a run: latencies in seconds, the wall time of all, and the CPU time of this process."""

    latencies: list[float]
    seconds: float
    cpu: float


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def expect(answer: "Answer | None", *statuses: int) -> Answer:
    """The answer, if it has one of these statuses; else Broken with what the server said."""
    assert answer is not None
    if answer.status not in statuses:
        raise Broken(f"status {answer.status}: {answer.body[:300].decode(errors='replace')}")
    return answer


def drive(address: tuple[str, int], scripts: Sequence[Script]) -> Driven:
    """Run all clients to their end. Raises Broken when a server hangs or closes in the middle of an answer."""
    loop = _Loop(address)
    cpu, began = time.process_time(), time.perf_counter()
    try:
        for script in scripts:
            loop.step(_Line(script), None)
        loop.run()
    finally:
        loop.close()
    return Driven(loop.latencies, time.perf_counter() - began, time.process_time() - cpu)


class _Line:
    """One client and its connection."""

    __slots__ = ("body", "full", "got", "head", "needed", "out", "script", "sent", "sent_at", "sock")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sock: socket.socket | None = None
        self.out = memoryview(b"")
        self.sent = b""
        self.sent_at = 0.0
        self.full = False  # the socket takes no more for now
        self.reset()

    def reset(self) -> None:
        self.head: bytes | None = None
        self.body: list[bytes] = []
        self.got = 0
        self.needed = -1  # bytes of the body; -1: until the server closes


class _Loop:
    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.latencies: list[float] = []
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._timers: list[tuple[float, int, _Line]] = []
        self._count = 0

    def run(self) -> None:
        while self._lines or self._timers:
            wait = PATIENCE
            if self._timers:
                wait = max(0.0, self._timers[0][0] - time.perf_counter())
            events = self._poll.poll(wait)
            if not events and not self._timers:
                raise Broken(f"no answer within {PATIENCE:.0f} s")
            for number, event in events:
                line = self._lines[number]
                if event & select.EPOLLOUT:
                    self._send(line)
                if event & ~select.EPOLLOUT:
                    self._receive(line)
            now = time.perf_counter()
            while self._timers and self._timers[0][0] <= now:
                self.step(heapq.heappop(self._timers)[2], None)

    def close(self) -> None:
        for line in self._lines.values():
            line.script.close()
            if line.sock is not None:
                line.sock.close()
        for _, _, line in self._timers:
            line.script.close()
            if line.sock is not None:
                line.sock.close()
        self._poll.close()

    def step(self, line: _Line, answer: Answer | None) -> None:
        """Let a client go on; send its next request, set its timer, or let it end."""
        try:
            wanted = line.script.send(answer)
        except StopIteration:
            self._hang_up(line)
            return
        if isinstance(wanted, bytes):
            line.sent = wanted
            line.sent_at = time.perf_counter()
            self._begin(line)
        else:
            self._count += 1
            if line.sock is not None:  # nothing is expected meanwhile
                self._forget(line)
            heapq.heappush(self._timers, (time.perf_counter() + wanted, self._count, line))

    def _begin(self, line: _Line) -> None:
        line.reset()
        line.out = memoryview(line.sent)
        if line.sock is None:
            line.sock = socket.create_connection(self.address, timeout=PATIENCE)
            line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sock.setblocking(False)
        if line.sock.fileno() not in self._lines:
            self._lines[line.sock.fileno()] = line
            line.full = False
            self._poll.register(line.sock, select.EPOLLIN)
        self._send(line)

    def _send(self, line: _Line) -> None:
        assert line.sock is not None
        try:
            line.out = line.out[line.sock.send(line.out) :]
        except BlockingIOError:
            pass  # the socket is full: epoll says when not
        except (BrokenPipeError, ConnectionResetError):
            return self._again(line)
        if bool(line.out) != line.full:
            line.full = bool(line.out)
            self._poll.modify(line.sock, select.EPOLLIN | (select.EPOLLOUT if line.full else 0))
        return None

    def _again(self, line: _Line) -> None:
        """A kept connection was closed by the server while nobody used it: once more on a new one."""
        if line.head is not None or line.got:
            raise Broken("the server closed the connection in the middle of an answer")
        self._hang_up(line)
        self._begin(line)

    def _receive(self, line: _Line) -> None:
        assert line.sock is not None
        try:
            chunk = line.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            if line.head is not None and line.needed < 0:
                self._answered(line, keep=False)
            else:
                self._again(line)
            return
        if line.head is None:
            chunk = b"".join((*line.body, chunk))
            end = chunk.find(b"\r\n\r\n")
            if end < 0:
                line.body = [chunk]
                return
            line.head, chunk, line.body = chunk[:end], chunk[end + 4 :], []
            line.needed = _length(line.head)
        line.body.append(chunk)
        line.got += len(chunk)
        if 0 <= line.needed <= line.got:
            self._answered(line, keep=not _closes(line.head))

    def _answered(self, line: _Line, *, keep: bool) -> None:
        seconds = time.perf_counter() - line.sent_at
        self.latencies.append(seconds)
        assert line.head is not None
        answer = Answer(int(line.head[9:12]), line.head, b"".join(line.body), seconds)
        if not keep:
            self._hang_up(line)
        self.step(line, answer)

    def _forget(self, line: _Line) -> None:
        assert line.sock is not None
        if self._lines.pop(line.sock.fileno(), None) is not None:
            self._poll.unregister(line.sock)

    def _hang_up(self, line: _Line) -> None:
        if line.sock is not None:
            self._forget(line)
            line.sock.close()
            line.sock = None


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"\r\ncontent-length:")
    if start < 0:
        if b"\r\ntransfer-encoding:" in lower:
            raise Broken("an answer in chunks, which this client does not read")
        return -1
    end = lower.find(b"\r\n", start + 2)
    return int(lower[start + 17 : end if end >= 0 else None])


def _closes(head: bytes) -> bool:
    lower = head.lower()
    if b"\r\nconnection: close" in lower:
        return True
    return lower.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in lower
