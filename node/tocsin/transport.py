"""Transport: HTTP/1.1 for clients who say plainly what they want, in time.

uvicorn speaks it through llhttp, a parser in C, with none of its leniencies that could make two readers of one
stream of bytes see different requests. What llhttp lets through all the same, or leaves to whoever uses it, is
here: how long a head may be and may take, what ends a connection, and what is refused:

- a head that says in two ways, or in none, how long its body is, llhttp refuses itself (two `Content-Length`, one
  beside `Transfer-Encoding`, folded lines, lines that end in LF alone, …), RFC 9112 §6.3;
- a transfer coding other than `chunked`, or any in HTTP/1.0; a version other than 1.0 and 1.1; trailers, which
  would come after the head was judged; not exactly one `Host` (RFC 9112 §3.2);
- `Upgrade` is ignored (RFC 9110 §7.8), and the connection ends with that answer, since for llhttp the protocol
  changes there; with a body, or `CONNECT`, it is refused.

A refusal is a TAXII error message and the last thing said on its connection; but it never comes before, or into,
the answer to an earlier request.
"""

import asyncio
import socket
from enum import Enum

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tocsin.problems import problem

HEAD_BYTES = 64 * 1024

ENDING = "tocsin.ending"  # in the state of the app: what to call when the server is about to end


class _At(Enum):
    """Where in the stream of requests the parser stands."""

    REST = "between two requests"
    HEAD = "in a head"
    BODY = "after a head, up to the end of its body"


class _Refused(Exception):
    """Tells the parser to stop; the reason is kept in the protocol."""


class PromptProtocol(HttpToolsProtocol):
    """uvicorn's protocol over llhttp, with the limits of this node."""

    head_seconds = 10.0  # a request's head must have arrived by then
    taking_seconds = 60.0  # what was written must have been taken by then, but for what the system keeps of it

    _at = _At.REST
    _deaf = False  # nothing that still arrives means anything
    _reason = ""
    _head_bytes = 0  # of the present head, as far as the parser has told of it
    _unfinished = 0  # bytes that came since the last complete head
    _hosts = 0
    _coded = False
    _patience: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            # head and body are two writes: without this, a kept connection waits 40 ms for each answer wherever
            # the event loop does not set it by itself
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._patience = self.loop.call_later(self.head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        self._stop_watching()
        self._deaf = True
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server is about to end, and lets what is in work come to its end: nobody need wait for more."""
        super().shutdown()
        end = self.app_state.get(ENDING)
        if end is not None:
            end()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self._unfinished += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the rest is in no protocol that we speak
        except httptools.HttpParserError as why:
            self._refuse(self._reason or str(why))
            return
        if self._at is _At.BODY or (self._at is _At.REST and not self._unfinished):
            return
        if self._unfinished > HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._patience is None:
            self._patience = self.loop.call_later(self.head_seconds, self._give_up)

    # --- what the parser tells ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._at = _At.HEAD
        self._head_bytes = self._hosts = 0
        self._coded = False

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self._at is not _At.HEAD:
            self._stop("trailers are not taken")
        self._count(len(name) + len(value) + 4)
        if name == b"host":
            self._hosts += 1
        elif name == b"transfer-encoding":
            self._coded = True
            if value.lower() != b"chunked":
                self._stop("the only transfer coding that is taken is chunked")
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if version == "1.1":
            if self._hosts != 1:
                self._stop("there must be one Host")
        elif version != "1.0":
            self._stop("the version must be HTTP/1.1 or HTTP/1.0")
        elif self._coded or self._hosts > 1:
            self._stop("not HTTP/1.0")
        upgrading = self.parser.should_upgrade()
        if upgrading and (self._announces_body() or self.parser.get_method() == b"CONNECT"):
            self._stop("no other protocol is spoken here")
        self._at = _At.BODY
        self._unfinished = 0
        self._wait_no_longer()
        super().on_headers_complete()
        if upgrading:
            self._deaf = True
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._at = _At.REST
        super().on_message_complete()

    def _announces_body(self) -> bool:
        return self._coded or any(name == b"content-length" and value.strip(b"0 ") for name, value in self.headers)

    def _count(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > HEAD_BYTES:
            self._stop(_TOO_LONG)

    def _stop(self, reason: str) -> None:
        self._reason = reason
        raise _Refused

    # --- what ends a connection ----------------------------------------------------------------------------------

    def _refuse(self, reason: str) -> None:
        """The last thing said here: that this is no request, unless an earlier one is still being answered."""
        self._deaf = True
        self._wait_no_longer()
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._say(reason)
        elif self._at is not _At.BODY:
            cycle.keep_alive = False  # the newest of those that wait for their answers
        else:  # its body is broken
            if not (cycle.response_started or self.pipeline):
                self._say(reason)
            self.pipeline.clear()
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    def _say(self, reason: str) -> None:
        answer = problem(400, f"This is not HTTP/1.1 as it is taken here: {reason}.")
        headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join((STATUS_LINE[400], *lines, b"\r\n", bytes(answer.body))))
        self.transport.close()

    def _give_up(self) -> None:
        self._patience = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._patience = self.loop.call_later(self.head_seconds, self._give_up)  # first things first
        elif not self.transport.is_closing():
            self.transport.close()

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # --- what a client does not take ----------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._taking is None:
            self._taking = self.loop.call_later(self.taking_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def _stop_watching(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None


def hurried(head_seconds: float, taking_seconds: float) -> type[PromptProtocol]:
    """The same protocol with less time for clients."""
    return type(
        PromptProtocol.__name__,
        (PromptProtocol,),
        {"head_seconds": head_seconds, "taking_seconds": taking_seconds},
    )


_TOO_LONG = f"a head may have {HEAD_BYTES} bytes"
