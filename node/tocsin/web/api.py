"""API: how the node stands, as JSON under `/api/v1/`, for accounts that have a role. It only reads.

The same tokens as for TAXII, the same limits, and the same answers where something is absent or not for who asks:
subscribers and peers find nothing here. What changes something stays with the command line.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tocsin.errors import NotFound
from tocsin.peers.status import PeerStatus, PulledCollection, PushedCollection, peer_status, peer_statuses
from tocsin.problems import problem
from tocsin.stix.objects import from_micros
from tocsin.store import objects, parties, pauses, peers, publications, quarantine, releases
from tocsin.store.pauses import EVERYBODY
from tocsin.store.pauses import Pause as Paused
from tocsin.store.peers import LedgerRow
from tocsin.taxii.endpoint import Exchange, Visit
from tocsin.taxii.rights import read_rights

API = "/api/v1"
_LARGEST = 2**53  # of a number in JSON that every program reads as it stands
_MOST = 1000


class Problem(BaseModel):
    """What was wrong with a request."""

    title: str
    description: str | None = None
    error_id: str | None = None
    http_status: str


class Pause(BaseModel):
    """Why nothing is given to somebody, or to everybody, for now."""

    since: str
    by: str
    because: str


class Collection(BaseModel):
    collection: str
    id: str
    standing: int
    readers: int
    stuck: str | None


class Pulled(BaseModel):
    """How we read one collection of a peer. `lag`: seconds since it last answered; `skew`: seconds by which its
    clock is ahead; `difference`: how it and we are not in step."""

    collection: str
    id: str | None
    protocol: str | None
    stands: str
    in_step: bool
    every: int
    lag: float | None
    last_success: str | None
    failing_since: str | None
    failures: int
    last_error: str | None
    unfinished: bool
    skew: float | None
    compared: str | None
    difference: str | None


class Push(BaseModel):
    """How we add a collection of ours to one of a peer's. `counts`: of the versions, how many are there (`added`),
    were refused, were withdrawn and deleted, or withdrawn and stay there (`untold`)."""

    collection: str
    to: str
    id: str | None
    stands: str
    in_step: bool
    every: int
    last_success: str | None
    failures: int
    last_error: str | None
    counts: dict[str, int]


class Peer(BaseModel):
    """How we stand with one peer. `ledger`: how many of its offers ended in each outcome; `overdue`: withdrawals
    that it has not answered in time."""

    peer: str
    url: str
    stands: str
    in_step: bool
    identity: str | None
    last_success: str | None
    paused: Pause | None
    quarantined: int
    overdue: int
    ledger: dict[str, int]
    collections: list[Pulled]
    pushes: list[Push]


class Status(BaseModel):
    """`waiting`: incidents that wait for a person to publish them; `paused`: everything is."""

    node: str
    paused: Pause | None
    waiting: int
    quarantined: int
    collections: list[Collection]
    peers: list[Peer]


class Entry(BaseModel):
    """One row of the ledger: what became of something that a peer offered."""

    number: int
    peer: str
    collection: str
    position: str
    id: str
    version: str
    sha256: str
    outcome: str
    reason: str
    at: str


class Held(BaseModel):
    """On whose word we hold one content of one version. `by`: null for this node."""

    version: str
    sha256: str
    by: str | None
    word: str
    authentic: bool


class Doubted(Entry):
    """What is, or was, in quarantine: its content as it came, while it is kept, and what we hold under its id."""

    content: str | None
    held: list[Held]


Before = Annotated[int | None, Query(ge=1, le=_LARGEST, description="Only entries with a lower number.")]
After = Annotated[int, Query(ge=0, le=_LARGEST, description="Only entries with a higher number.")]
Limit = Annotated[int, Query(ge=1, le=_MOST)]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 429, 503)
}


def api_routes(exchange: Exchange) -> list[APIRoute]:
    """Every route of the API, its own description among them."""
    asked = _Asked(exchange)
    # who asks is known before his parameters are looked at, or a stranger would learn of them
    router = APIRouter(prefix=API, responses=_PROBLEMS, dependencies=[Depends(asked.admit)])
    table: dict[str, tuple[Callable[..., Awaitable[Any]], Any]] = {
        "/status": (asked.status, Status),
        "/peers": (asked.peers, list[Peer]),
        "/peers/{name}": (asked.peer, Peer),
        "/peers/{name}/ledger": (asked.ledger, list[Entry]),
        "/quarantine": (asked.quarantine, list[Entry]),
        "/quarantine/{number}": (asked.doubted, Doubted),
    }
    for path, (endpoint, model) in table.items():
        router.add_api_route(path, endpoint, response_model=model)
    described = [route for route in router.routes if isinstance(route, APIRoute)]
    description = get_openapi(title="Tocsin", version="1", routes=described)
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # what a parameter may not be is 400 here, as in TAXII

    async def openapi(request: Request, response: Response) -> dict[str, Any]:
        response.headers["Cache-Control"] = "no-store"
        return description

    router.add_api_route("/openapi.json", openapi, include_in_schema=False)
    return [route for route in router.routes if isinstance(route, APIRoute)]


async def on_invalid(request: Request, error: Exception) -> Response:
    """A parameter that is not what the description says."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors()]
    return problem(400, "; ".join(faults))


class _Asked:
    """The questions of the API, each answered in one transaction."""

    def __init__(self, exchange: Exchange) -> None:
        self._store = exchange.store

    @asynccontextmanager
    async def visiting(self, request: Request, response: Response) -> AsyncIterator[Visit]:
        """The transaction of a request of somebody who has a role.

        Raises NotAuthenticated, NotAllowed, Paused; NotFound for who has none.
        """
        async with self._store.reading() as tx:
            rights = await read_rights(tx, request.headers)
            account = rights.configuration.settings.accounts.get(rights.caller.name)
            if account is None or account.role is None:
                raise NotFound(f"the API is not for {rights.caller.name}")
            response.headers["Cache-Control"] = "no-store"
            yield Visit(tx, rights)

    async def admit(self, request: Request, response: Response) -> None:
        """Raises for whoever may ask nothing here, as `visiting` does."""
        async with self.visiting(request, response):
            return

    async def status(self, request: Request, response: Response) -> Status:
        """The node on one screen."""
        async with self.visiting(request, response) as visit:
            settings = visit.configuration.settings
            rows = {row.key: row for row in await releases.collections(visit.tx)}
            found = await peer_statuses(visit.tx, visit.configuration)
            return Status(
                node=settings.node.name,
                paused=_pause((await pauses.pauses(visit.tx)).get(EVERYBODY)),
                waiting=len(await publications.waiting(visit.tx)),
                quarantined=sum(peer.quarantined for peer in found),
                collections=[
                    Collection(
                        collection=key,
                        id=rows[key].id,
                        standing=rows[key].standing,
                        readers=len(collection.readers),
                        stuck=rows[key].stuck,
                    )
                    for key, collection in settings.collections.items()
                ],
                peers=[_peer(peer) for peer in found],
            )

    async def peers(self, request: Request, response: Response) -> list[Peer]:
        """Every peer, in the order of tocsin.yaml."""
        async with self.visiting(request, response) as visit:
            return [_peer(peer) for peer in await peer_statuses(visit.tx, visit.configuration)]

    async def peer(self, request: Request, response: Response, name: str) -> Peer:
        """One peer."""
        async with self.visiting(request, response) as visit:
            return _peer(await peer_status(visit.tx, visit.configuration, name))

    async def ledger(
        self, request: Request, response: Response, name: str, before: Before = None, limit: Limit = 100
    ) -> list[Entry]:
        """What became of what a peer offered, the latest first; `before` the last number seen."""
        async with self.visiting(request, response) as visit:
            party = await parties.party_by_name(visit.tx, name)
            if party is None or name not in visit.configuration.settings.peers:
                raise NotFound(f"no peer {name!r}")
            rows = await peers.ledger_rows(visit.tx, party.id, before=before, limit=limit)
            return [Entry(**_entry(row, {party.id: name})) for row in rows]

    async def quarantine(
        self, request: Request, response: Response, after: After = 0, limit: Limit = 100
    ) -> list[Entry]:
        """What waits for a person's judgement, the oldest first; `after` the last number seen."""
        async with self.visiting(request, response) as visit:
            names = {party.id: party.name for party in await parties.parties(visit.tx)}
            rows = await quarantine.waiting(visit.tx, after=after, limit=limit)
            return [Entry(**_entry(row, names)) for row in rows]

    async def doubted(self, request: Request, response: Response, number: str) -> Doubted:
        """One entry, with its content and what is held under the same id."""
        async with self.visiting(request, response) as visit:
            plain = number.isascii() and number.isdecimal() and len(number) <= 15
            row = (await quarantine.entries(visit.tx, [int(number)])).get(int(number)) if plain else None
            if row is None:
                raise NotFound(f"no entry {number!r} of the ledger")
            names = {party.id: party.name for party in await parties.parties(visit.tx)}
            held = (await objects.offered(visit.tx, [row.object_id])).get(row.object_id, [])
            return Doubted(
                **_entry(row, names),
                content=row.content.decode("utf-8", "replace") if row.content is not None else None,
                held=[
                    Held(
                        version=one.version,
                        sha256=one.sha256,
                        by=names.get(said.party_id),
                        word=said.word,
                        authentic=said.authentic,
                    )
                    for one in held
                    for said in one.sources
                ],
            )


def _entry(row: LedgerRow, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": row.seq,
        "peer": names[row.party_id],
        "collection": row.collection_id,
        "position": row.position,
        "id": row.object_id,
        "version": row.version,
        "sha256": row.sha256,
        "outcome": row.outcome,
        "reason": row.reason,
        "at": from_micros(row.at),
    }


def _pause(found: Paused | None) -> Pause | None:
    return Pause(since=from_micros(found.since), by=found.by, because=found.because) if found else None


def _peer(status: PeerStatus) -> Peer:
    return Peer(
        peer=status.name,
        url=status.url,
        stands=status.words,
        in_step=status.in_step,
        identity=status.identity,
        last_success=_moment(status.last_success),
        paused=_pause(status.paused),
        quarantined=status.quarantined,
        overdue=status.overdue,
        ledger={**{str(outcome): count for outcome, count in status.ledger.items()}, "stored": status.stored},
        collections=[_pulled(one) for one in status.collections],
        pushes=[_pushed(one) for one in status.pushed],
    )


def _pushed(one: PushedCollection) -> Push:
    return Push(
        collection=one.ours,
        to=one.wanted,
        id=one.remote_id,
        stands=one.words,
        in_step=one.in_step,
        every=one.every,
        last_success=_moment(one.last_success),
        failures=one.failures,
        last_error=one.last_error,
        counts={str(outcome): count for outcome, count in one.counts.items()},
    )


def _pulled(one: PulledCollection) -> Pulled:
    return Pulled(
        collection=one.wanted,
        id=one.collection_id,
        protocol=one.protocol,
        stands=one.words,
        in_step=one.in_step,
        every=one.every,
        lag=_seconds(one.lag),
        last_success=_moment(one.last_success),
        failing_since=_moment(one.failing_since),
        failures=one.failures,
        last_error=one.last_error,
        unfinished=one.unfinished,
        skew=_seconds(one.skew),
        compared=_moment(one.compared),
        difference=one.difference,
    )


def _moment(micros: int | None) -> str | None:
    return from_micros(micros) if micros is not None else None


def _seconds(micros: int | None) -> float | None:
    return micros / 1_000_000 if micros is not None else None
