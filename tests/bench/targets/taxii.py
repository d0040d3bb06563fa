"""TAXII: a server of TAXII 2.1 as a target, and what clients of it do."""

import base64
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tests.bench import client
from tests.bench.client import Answer, Broken, Script, drive, expect
from tests.bench.corpus import Made, envelope
from tests.bench.measure import Sample, sampled
from tests.bench.processes import Server

MEDIA_TYPE = "application/taxii+json;version=2.1"
PAGE = 1000  # objects asked for at a time
_NEXT = re.compile(rb'"next":\s*"([^"]+)"')
_MORE = re.compile(rb'"more":\s*true')
_ID = re.compile(rb'"id":\s*"([a-z0-9-]+--[0-9a-f-]{36})"')
_EDGE = 600  # bytes at either end of an envelope, where `more` and `next` stand


def basic(user: str, password: str) -> str:
    """A value of `Authorization`."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass(slots=True)
class TaxiiTarget:
    """A collection of a running server. `path` ends in `/`; `head`: `added_after` with which nothing is new.

    `stop` ends everything that was started for it. `database_pid`: of a PostgreSQL that serves it. `takes`:
    whether it can be given an object at all.
    """

    name: str
    engine: str
    server: Server
    path: str
    reading: dict[str, str]
    writing: dict[str, str]
    stop: Callable[[], None]
    head: str = ""
    page: int = PAGE
    database_pid: int | None = None
    takes: Callable[[Made], bool] = lambda made: True
    posts: int | None = None  # objects that it can be given in one repeat; None: as many as are wanted
    turns: int | None = None  # repeats that it is measured in, None: all

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def sample(self, work: Callable[[], Sample]) -> Sample:
        """Do it, with what it cost the server. Raises Broken with the end of the server's log."""
        try:
            return sampled(self.server.pid, self.database_pid, work)
        except Broken as why:
            log = self.server.log.read_text(errors="replace").strip()
            raise Broken(f"{self.name}: {why}\n{log[-3000:]}") from why

    def get(self, path: str) -> bytes:
        """A request below the collection, as bytes."""
        return client.request("GET", self.path + path, self.reading)

    # --- writing -------------------------------------------------------------------------------------------

    def ingest(self, envelopes: Sequence[Sequence[Made]], seconds: float) -> Sample:
        """POST one envelope after the other; stop early when `seconds` are over. What was taken is counted."""
        envelopes = [self.only_taken(objects) for objects in envelopes]
        bodies = [self.post(objects) for objects in envelopes]
        sizes = [len(objects) for objects in envelopes]

        def work() -> Sample:
            done: list[int] = []
            until = time.perf_counter() + seconds
            driven = drive(self.address, [_post_all(bodies, sizes, done, until)])
            return Sample(
                sum(done),
                sum(driven.latencies),
                driven.latencies,
                client_share=driven.cpu / driven.seconds,
            )

        return self.sample(work)

    def only_taken(self, objects: Sequence[Made]) -> list[Made]:
        """Those that it can be given."""
        return [made for made in objects if self.takes(made)]

    def post(self, objects: Sequence[Made]) -> bytes:
        """A POST of an envelope, as bytes."""
        headers = {**self.writing, "Content-Type": MEDIA_TYPE}
        return client.request("POST", f"{self.path}objects/", headers, envelope(objects))

    # --- reading -------------------------------------------------------------------------------------------

    def read(self, seconds: float, kind: str | None = None, after: str = "") -> tuple[Sample, list[str]]:
        """Everything, page by page, by `limit` and `next`, and the ids that came. The clock runs from request to
        last byte; looking for the ids is off it."""
        ids: list[str] = []

        def work() -> Sample:
            until = time.perf_counter() + seconds
            driven = drive(self.address, [self._read_all(ids, kind, after, until)])
            return Sample(
                len(ids), sum(driven.latencies), driven.latencies, client_share=driven.cpu / driven.seconds
            )

        return self.sample(work), ids

    def _read_all(self, ids: list[str], kind: str | None, after: str, until: float) -> Script:
        fixed = f"objects/?limit={self.page}"
        if kind:
            fixed += f"&match[type]={kind}"
        if after:
            fixed += f"&added_after={quote(after)}"
        cursor = ""
        while True:
            answer = expect((yield self.get(fixed + cursor)), 200)
            ids += ids_in([answer.body])
            following = next_of(answer.body)
            if following is None or time.perf_counter() > until:
                return
            cursor = f"&next={quote(following)}"

    def poll(self) -> bytes:
        """A request for what is new, when nothing is."""
        return self.get(f"objects/?added_after={quote(self.head)}" if self.head else "poll")

    def find_head(self) -> None:
        """Move `head` to where the collection ends, by what the server itself says of its last page."""
        last = ""
        start = f"objects/?limit={self.page}" + (f"&added_after={quote(self.head)}" if self.head else "")

        def walk() -> Script:
            nonlocal last
            cursor = ""
            while True:
                answer = expect((yield self.get(start + cursor)), 200)
                last = answer.header("x-taxii-date-added-last") or last
                following = next_of(answer.body)
                if following is None:
                    return
                cursor = f"&next={quote(following)}"

        drive(self.address, [walk()])
        self.head = last or self.head

    def ask(
        self, requests: Iterable[bytes], clients: int, seconds: float, check: Callable[[Answer], None]
    ) -> Sample:
        """The same kind of small request again and again by so many clients."""
        drawn = list(requests)

        def work() -> Sample:
            until = time.perf_counter() + seconds
            scripts = [_ask(drawn[number::clients] or drawn, until, check) for number in range(clients)]
            driven = drive(self.address, scripts)
            return Sample(
                len(driven.latencies), driven.seconds, driven.latencies, client_share=driven.cpu / driven.seconds
            )

        return self.sample(work)


def _ask(requests: Sequence[bytes], until: float, check: Callable[[Answer], None]) -> Script:
    while True:
        for wanted in requests:
            check(expect((yield wanted), 200))
            if time.perf_counter() > until:
                return


def _post_all(bodies: Sequence[bytes], sizes: Sequence[int], done: list[int], until: float) -> Script:
    for body, size in zip(bodies, sizes, strict=True):
        answer = expect((yield body), 200, 202)
        if b'"failure_count":0' not in answer.body.replace(b" ", b""):
            raise Broken(f"not everything was taken: {answer.body[:300].decode(errors='replace')}")
        done.append(size)
        if time.perf_counter() > until:
            return


def next_of(body: bytes) -> str | None:
    """The cursor of the next page, None after the last."""
    edges = body if len(body) <= 2 * _EDGE else body[:_EDGE] + body[-_EDGE:]
    if not _MORE.search(edges):
        return None
    found = _NEXT.search(edges)
    return found[1].decode() if found else None


def ids_in(bodies: Iterable[bytes]) -> list[str]:
    """The ids of all objects in envelopes, in order, repeated ones too."""
    return [found.decode() for body in bodies for found in _ID.findall(body)]


def check_complete(name: str, ids: Iterable[str], wanted: Iterable[str]) -> None:
    """Every wanted id exactly once. Raises Broken. What a node brings along itself (definitions, its identity) is
    not looked at."""
    found = Counter(ids)
    counts = [found[id_] for id_ in wanted]
    if set(counts) - {1}:
        raise Broken(f"{name}: {counts.count(0)} objects are missing, {sum(n > 1 for n in counts)} come twice")
