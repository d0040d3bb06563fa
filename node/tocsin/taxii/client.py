"""Client: what bytes we fetch from others, and what they may cost us.

Everything a node asks of a peer goes through `PeerClient.get`: only to the scheme, host and port that the operator
configured (see `origin`), with its certificate checked and no proxy taken from the environment; never a redirect;
one deadline for the whole of an answer, however slowly it trickles; a bound on its size, counted after decoding;
at most two requests at a time. Addresses that a peer names (`api_roots`, a descriptor's `taxii`) are followed on
its own origin alone, so a credential never leaves it.

What comes back is still another's word: `intake.receive` judges the objects.
"""

import asyncio
import base64
import re
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx2

from tocsin.errors import BadFile, BadInput, NotFound, PeerFailed, Problem
from tocsin.problems import TAXII_TYPE
from tocsin.settings import Home, LimitSettings, PeerSettings
from tocsin.stix.canonical import read_json
from tocsin.stix.objects import ID
from tocsin.taxii.origin import KeptToOrigin, origin_of

DESCRIPTOR_PATH = "/.well-known/tocsin.json"
JSON_TYPE = "application/json"

_JSON_TYPES = frozenset({"application/json", "application/taxii+json", "application/stix+json"})
_DONE: Mapping[str, frozenset[int]] = {  # the statuses by which something is done
    "GET": frozenset({200}),
    "POST": frozenset({200, 202}),
    "DELETE": frozenset({200, 202, 204}),
}
_LONGEST_SAYING = 64 * 1024  # bytes of an error message that is shown to a person
_PASSING = frozenset({429, 502, 503, 504})  # answers that a moment later may be another
_SEGMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$")
_RATIO_FROM = 1024 * 1024  # decoded bytes; small answers may repeat themselves as they like


@dataclass(frozen=True, slots=True)
class Bounds:
    """What asking may cost: seconds, decoded bytes, decoded bytes for each one received, attempts."""

    deadline: float = 120.0  # for everything, attempts and pauses included
    altogether: float = 300.0  # for all that one client asks, however much that is
    connect: float = 10.0
    silence: float = 30.0  # between two pieces of an answer
    body: int = 20 * 1024 * 1024
    ratio: int = 100
    attempts: int = 3
    pause: float = 5.0  # the longest `Retry-After` that is waited for here; a longer one is left to the worker

    def under(self, limits: LimitSettings) -> "Bounds":
        """The same, as far as the operator lowered none of them."""
        return replace(self, deadline=min(self.deadline, limits.deadline), body=min(self.body, limits.answer))


class PeerAnswered(PeerFailed):
    """A peer answered, with a status that is not 200. `retry_after` is that header as it stands; `said`: the body
    of its answer to what was to change something there, '' for none that is short and readable."""

    def __init__(self, text: str, status: int, retry_after: str | None = None, said: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        self.said = said


class Unreadable(PeerFailed):
    """A peer answered 200 with something that cannot be read as what it should be.

    `smaller`: the fault may lie in one of the objects that it carries, so fewer at a time may be read. `answer` is
    there when it is JSON in outline.
    """

    def __init__(self, text: str, answer: "Answer | None" = None, *, smaller: bool = False) -> None:
        super().__init__(text)
        self.answer = answer
        self.smaller = smaller or answer is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """The decoded body of a 200, and its headers (names in lower case)."""

    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Change:
    """A request that is to change something at a peer."""

    method: str
    body: bytes | None = None
    kind: str = ""  # media type


@dataclass(frozen=True, slots=True)
class Credential:
    """How we prove to a peer who we are: headers of every request, and what TLS needs."""

    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None = None


def read_credential(home: Home, name: str, settings: PeerSettings) -> Credential:
    """The credential of peer `name`, from the home's key files.

    `keys/peers/NAME` is the secret; for `auth: certificate` the pair `NAME.crt` and `NAME.key`. Where there is a
    `NAME.ca`, the peer's certificate must be signed by that authority and no other. Raises PeerFailed when a file
    is missing, BadFile when one cannot be used or others may read it.
    """
    folder = home.keys / "peers"
    tls = _tls(folder / f"{name}.ca")
    if settings.auth == "certificate":
        return Credential({}, _with_certificate(tls, home, name))
    try:
        secret = home.read_secret(f"peers/{name}")
    except NotFound as why:
        raise PeerFailed(f"no credential for {name} (run: tocsin peer credential {name})") from why
    match settings.auth:
        case "bearer":
            headers = {"Authorization": f"Bearer {secret}"}
        case "api-key":
            headers = {"X-API-Key": secret}
        case _:
            if settings.user is None:
                raise PeerFailed(f"auth: basic needs a user for {name} (peers: {name}: user: …)")
            pair = base64.b64encode(f"{settings.user}:{secret}".encode()).decode("ascii")
            headers = {"Authorization": f"Basic {pair}"}
    if not secret.isascii() or not secret.isprintable():
        raise BadFile([Problem(str(folder / name), "a credential is printable ASCII on one line")])
    return Credential(headers, tls)


def _tls(authority: Path) -> ssl.SSLContext | None:
    if not authority.is_file():
        return None
    try:
        return ssl.create_default_context(cafile=authority)
    except (ssl.SSLError, OSError) as why:
        raise BadFile([Problem(str(authority), f"is no certificate authority in PEM: {why}")]) from why


@cache
def _system_authorities() -> ssl.SSLContext:
    """What is trusted where nothing is said: loaded once, since that takes longer than many a pull."""
    return httpx2.create_ssl_context(trust_env=False)


def _with_certificate(tls: ssl.SSLContext | None, home: Home, name: str) -> ssl.SSLContext:
    context = tls or ssl.create_default_context()
    certificate, key = home.keys / "peers" / f"{name}.crt", f"peers/{name}.key"
    try:
        home.read_secret(key)  # for its mode
        context.load_cert_chain(certificate, home.keys / key)
    except (NotFound, FileNotFoundError) as why:
        needed = f"{certificate} and {home.keys / key} are needed"
        raise PeerFailed(f"no client certificate for {name}: {needed}") from why
    except ssl.SSLError as why:
        raise BadFile([Problem(str(certificate), f"cannot be used with its key: {why}")]) from why
    return context


class PeerClient:
    """Requests to one peer. An async context manager; belongs to one event loop.

    `skew`: by how many microseconds its clock was ahead of ours when it last answered; None where it did not say.
    """

    def __init__(self, name: str, url: str, credential: Credential, bounds: Bounds | None = None) -> None:
        self.name = name
        self.url = url
        self.origin = origin_of(url)
        self.bounds = bounds or Bounds()
        self.waited = 0.0  # seconds for answers so far
        self.skew: int | None = None
        self._two_at_a_time = asyncio.Semaphore(2)
        direct = httpx2.AsyncHTTPTransport(
            verify=credential.tls or _system_authorities(),
            trust_env=False,
            limits=httpx2.Limits(max_connections=2),
        )
        self._http = httpx2.AsyncClient(
            headers={"User-Agent": "tocsin", "Accept-Encoding": "gzip", **credential.headers},
            transport=KeptToOrigin(url, direct, self.bounds.connect),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(self.bounds.silence, connect=self.bounds.connect),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    def resolve(self, base: str, reference: object) -> str:
        """An address that the peer names. Raises PeerFailed when it is not on the peer's own origin."""
        if not isinstance(reference, str) or not reference:
            raise Unreadable(f"{self.name} names an address that is none")
        try:
            url = urljoin(base, reference)
            elsewhere = origin_of(url) != self.origin
        except (BadInput, ValueError) as why:
            raise PeerFailed(f"{self.name} names an address that is not followed: {why}") from why
        if elsewhere:
            raise PeerFailed(
                f"{self.name} points to {reference[:200]!r}, which is not on {self.origin}: not followed, since "
                "credentials stay with the address in tocsin.yaml"
            )
        return url

    async def get(self, url: str, params: Mapping[str, str] | None = None, *, accept: str = TAXII_TYPE) -> Answer:
        """The body of a 200 in some form of JSON, not yet parsed.

        Raises PeerAnswered for another status, Unreadable for another media type or too large an answer,
        PeerFailed for what kept the peer from answering within the bounds; each in words for a person.
        """
        return await self._answer(url, params, accept)

    async def post(self, url: str, body: bytes) -> Answer:
        """The answer to JSON that is posted; what is posted may arrive twice. Raises as `get` does."""
        return await self._answer(url, None, JSON_TYPE, _Change("POST", body, JSON_TYPE))

    async def add(self, url: str, envelope: bytes) -> Answer:
        """The answer to objects that are added (TAXII 2.1 §5.5); they may arrive twice. Raises as `get` does."""
        return await self._answer(url, None, TAXII_TYPE, _Change("POST", envelope, TAXII_TYPE))

    async def delete(self, url: str, params: Mapping[str, str]) -> None:
        """Have an object deleted (TAXII 2.1 §5.7). Raises PeerAnswered and PeerFailed as `get` does."""
        await self._answer(url, params, TAXII_TYPE, _Change("DELETE"))

    async def _answer(
        self, url: str, params: Mapping[str, str] | None, accept: str, change: "_Change | None" = None
    ) -> Answer:
        url = self.resolve(self.url, url)
        try:
            async with self._two_at_a_time, self._timed():
                return await self._attempts(url, params, accept, change)
        except TimeoutError as why:
            if self.waited >= self.bounds.altogether:
                text = f"{self.name} kept us waiting for more than {self.bounds.altogether:g} s in one cycle"
            else:
                text = f"{self.name} did not finish its answer in {self.bounds.deadline:g} s"
            raise PeerFailed(text) from why
        except httpx2.TransportError as why:
            raise PeerFailed(f"{self.name} {_transport_words(why)}") from why
        except httpx2.InvalidURL as why:
            raise PeerFailed(f"{self.name}: not an address: {why}") from why

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        """As long as one answer may take, and what is left for all of them. Raises TimeoutError."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(min(self.bounds.deadline, self.bounds.altogether - self.waited)):
                yield
        finally:
            self.waited += clock() - began

    async def _attempts(
        self, url: str, params: Mapping[str, str] | None, accept: str, change: "_Change | None"
    ) -> Answer:
        attempt = 1
        while True:
            try:
                return await self._ask(url, params, accept, change)
            except PeerAnswered as why:
                pause = self._pause(why, attempt)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    def _pause(self, answered: PeerAnswered, attempt: int) -> float | None:
        """How long to wait before asking again within this request; None: not here."""
        if answered.status not in _PASSING or attempt >= self.bounds.attempts:
            return None
        asked = answered.retry_after or ""
        pause = float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0.25 * 2.0**attempt
        return pause if pause <= self.bounds.pause else None

    async def _ask(
        self, url: str, params: Mapping[str, str] | None, accept: str, change: "_Change | None"
    ) -> Answer:
        method, headers, content = "GET", {"Accept": accept}, None
        if change is not None:
            method, content = change.method, change.body
            headers |= {"Content-Type": change.kind} if change.kind else {}
        async with self._http.stream(method, url, params=params, headers=headers, content=content) as response:
            self.skew = _skew(response.headers.get("date"), time.time())
            if response.status_code not in _DONE[method]:
                said = await self._said(response) if change is not None else b""  # of a GET it is not read
                raise self._answered(response, said)
            body = b"" if method == "DELETE" else await self._json(url, response)
        return Answer(url, {name.lower(): text for name, text in response.headers.items()}, body)

    async def _json(self, url: str, response: httpx2.Response) -> bytes:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            raise Unreadable(f"{self.name} answered {kind[:80] or 'untyped bytes'} at {url}, not TAXII 2.1")
        return await self._body(response)

    async def _said(self, response: httpx2.Response) -> bytes:
        try:
            body = await self._body(response)
        except Unreadable:
            return b""
        return body if len(body) <= _LONGEST_SAYING else b""

    def _answered(self, response: httpx2.Response, said: bytes) -> PeerAnswered:
        status, path = response.status_code, response.request.url.path
        match status:
            case 401:
                text = f"{self.name} does not accept our credential (401)"
            case 403:
                verb = "read" if response.request.method == "GET" else "change"
                text = f"{self.name} does not let us {verb} {path} (403)"
            case 404:
                text = f"{self.name} has no {path}, or not for us (404)"
            case 406 | 415:
                text = f"{self.name} does not speak TAXII 2.1 at {path} ({status})"
            case 429:
                text = f"{self.name} asks us to come less often (429)"
            case _ if 300 <= status < 400:
                to = response.headers.get("location", "elsewhere")[:200]
                text = f"{self.name} redirects {path} to {to!r} ({status}): redirects are not followed"
            case _:
                text = f"{self.name} answered {status} at {path}"
        return PeerAnswered(text, status, response.headers.get("retry-after"), said)

    async def _body(self, response: httpx2.Response) -> bytes:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "", "gzip", "x-gzip"):
            raise Unreadable(f"{self.name} coded its answer as {coding[:40]!r}, which we did not ask for")
        decoder = _Gunzip() if coding.endswith("gzip") else None
        parts: list[bytes] = []
        size = received = 0
        async for piece in response.aiter_raw():
            received += len(piece)
            waiting = piece
            while waiting:
                part, waiting = decoder.feed(waiting, self.name) if decoder else (waiting, b"")
                size += len(part)
                if size > self.bounds.body:
                    text = f"{self.name} sends more than {self.bounds.body} bytes in one answer"
                    raise Unreadable(text, smaller=True)
                if size > _RATIO_FROM and size > self.bounds.ratio * received:
                    raise Unreadable(f"{self.name} sends what unpacks to over {self.bounds.ratio} times its size")
                parts.append(part)
        if decoder and not decoder.finished:
            raise Unreadable(f"{self.name} sent a gzip answer that ends early")
        return b"".join(parts)


def _skew(date: str | None, now: float) -> int | None:
    """Pure: how far the clock that wrote a `Date` (RFC 9110 §6.6.1) is ahead of ours, in microseconds.

    It has whole seconds, and was half a second older on average: whatever is below a second says nothing.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError):
        return None
    if theirs.tzinfo is None:  # `-0000`: a clock of an unknown zone
        theirs = theirs.replace(tzinfo=UTC)
    return round((theirs.timestamp() + 0.5 - now) * 1_000_000)


class _Gunzip:
    """gzip unpacked in steps of bounded size; several members in a row are one (RFC 1952 §2.2)."""

    STEP = 256 * 1024

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def finished(self) -> bool:
        return self._member.eof

    def feed(self, data: bytes, peer: str) -> tuple[bytes, bytes]:
        """At most STEP decoded bytes, and what of `data` is still to be fed."""
        if self._member.eof:
            self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            decoded = self._member.decompress(data, self.STEP)
        except zlib.error as why:
            raise Unreadable(f"{peer} sent a gzip answer that is broken: {why}") from why
        return decoded, self._member.unconsumed_tail or self._member.unused_data


def _transport_words(error: httpx2.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"shows a certificate that is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"cannot be spoken to over TLS: {cause.reason or cause}"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx2.ConnectTimeout() | httpx2.ConnectError():
            return f"cannot be reached: {str(error) or 'no answer'}"
        case httpx2.TimeoutException():
            return "fell silent in the middle of an answer"
        case _:
            return f"broke off: {str(error) or type(error).__name__}"


# --- resources of TAXII 2.1 ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoteCollection:
    """A collection as the peer lists it for us (TAXII 2.1 §5.2.1), and the API root that it is under."""

    api_root: str
    id: str
    title: str
    alias: str
    can_read: bool
    can_write: bool = False

    @property
    def url(self) -> str:
        return f"{self.api_root}collections/{self.id}/"


MOST_OF_A_RESOURCE = 1024 * 1024  # bytes: to read what is larger would hold up everybody else for a second


def read_resource(peer: str, answer: Answer) -> dict[str, Any]:
    """A JSON object out of an answer that is no page of objects. Raises Unreadable with what is wrong."""
    if len(answer.body) > MOST_OF_A_RESOURCE:
        raise Unreadable(f"{peer} answered at {answer.url} with more than {MOST_OF_A_RESOURCE} bytes")
    try:
        value = read_json(answer.body)
    except BadInput as why:
        raise Unreadable(f"{peer} answered with no usable JSON at {answer.url}: {why}") from why
    if not isinstance(value, dict):
        raise Unreadable(f"{peer} answered at {answer.url} with something that is no JSON object")
    return value


async def fetch_api_roots(client: PeerClient) -> list[str]:
    """The API roots behind the configured address, the default one first (TAXII 2.1 §4.1).

    Where the address is that of an API root already, it is the answer. Raises PeerFailed for roots elsewhere.
    """
    answer = await client.get(client.url)
    value = read_resource(client.name, answer)
    if "api_roots" not in value and "versions" in value:
        return [_folder(answer.url)]
    named = value.get("api_roots")
    roots = [value["default"]] if value.get("default") else []
    roots += named if isinstance(named, list) else []
    return list(dict.fromkeys(_folder(client.resolve(answer.url, root)) for root in roots))


async def fetch_collections(client: PeerClient, api_root: str) -> list[RemoteCollection]:
    """The collections that an API root lists for us (§5.1)."""
    answer = await client.get(f"{api_root}collections/")
    return read_collections(client.name, api_root, read_resource(client.name, answer))


def read_collections(peer: str, api_root: str, value: Mapping[str, Any]) -> list[RemoteCollection]:
    """The collections of a collections resource. One that has no usable id is an error: it cannot be read."""
    listed = value.get("collections", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise Unreadable(f"{peer} lists its collections in a form that is not that of TAXII 2.1")
    found = []
    for item in listed:
        id_ = item.get("id")
        if not isinstance(id_, str) or not _SEGMENT.match(id_):
            raise Unreadable(f"{peer} lists a collection with an id that is none: {str(id_)[:80]!r}")
        title, alias = (text if isinstance(text := item.get(name), str) else "" for name in ("title", "alias"))
        # some servers leave the rights null: then the answer to reading tells
        rights = [item.get(right) is not False for right in ("can_read", "can_write")]
        found.append(RemoteCollection(api_root, id_, title, alias, *rights))
    return found


def _folder(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"


# --- what only nodes have (their logs: see `remote`) ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a node says of itself: its name, the STIX identity it speaks for, where it speaks TAXII, and what it
    tells of its logs beside the changes (see `changes`)."""

    name: str
    identity: str
    taxii: str
    log: frozenset[str] = frozenset()


async def fetch_descriptor(client: PeerClient) -> Descriptor | None:
    """The descriptor at the peer's origin; None when it has none, so that it is no node.

    Raises PeerFailed when it is there and cannot be used, or names an address elsewhere.
    """
    try:
        answer = await client.get(urljoin(client.url, DESCRIPTOR_PATH), accept=JSON_TYPE)
        value = read_resource(client.name, answer)
    except PeerAnswered as why:
        if why.status in (400, 401, 403, 404, 405, 406, 410):
            return None
        raise
    except Unreadable:
        return None  # some page for people, as sites answer at any address
    if value.get("tocsin") is None:
        return None
    identity = value.get("identity")
    named = identity.get("id") if isinstance(identity, dict) else None
    if not isinstance(named, str) or not named.startswith("identity--") or not ID.match(named):
        raise Unreadable(f"{client.name} is a node that speaks for nobody: {str(named)[:100]!r}")
    if value["tocsin"] != 1 or value.get("changes") is not True:
        raise Unreadable(f"{client.name} is a node whose descriptor this version of Tocsin cannot use")
    name, log = value.get("name"), value.get("log")
    return Descriptor(
        name if isinstance(name, str) else "",
        named,
        client.resolve(client.url, value.get("taxii")),
        frozenset(word for word in log if isinstance(word, str)) if isinstance(log, list) else frozenset(),
    )


# a string that never ends goes on to the end: to look for its end from each quote in it would take hours
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def is_outline(body: bytes) -> bool:
    """Whether a body is one JSON object in outline, its brackets closed: not cut off, and no page for people."""
    text = body.strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return False
    rest = _STRING.sub(b"", text)
    opened, closed = (rest.count(a) + rest.count(b) for a, b in ((b"[", b"{"), (b"]", b"}")))
    return opened == closed and rest.endswith(b"}")
