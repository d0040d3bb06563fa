"""Publications: what was let in of our own objects: by a person's word, or by a collection's own rule.

No word at all = waiting. A word on an incident covers each object made with it up to one version: what comes
later, or comes along with another incident, is not covered by it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, exists, func, or_, select, update

from tocsin.store import bulk
from tocsin.store.tables import belonging, object_version, publication, source
from tocsin.store.transaction import Transaction, in_batches

PublicationState = Literal["published", "held", "released"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A word on one object of an incident (itself, or one made with it).

    `collection_id` is '' for all collections; `version_key` is the newest version that it covers, None for none;
    with `follow`, newer ones are published as they come. `released`: an automatic collection let it in, and no
    person said anything.
    """

    incident_id: str
    object_id: str
    collection_id: str
    state: PublicationState
    version_key: str | None
    follow: bool
    decided: int


async def set_publications(tx: Transaction, words: Iterable[Publication]) -> None:
    """Note a person's words; each takes the place of the one before it for the same object and collection."""
    rows = {(word.object_id, word.incident_id, word.collection_id): _row(word) for word in words}
    await bulk.insert(tx, publication, _COLUMNS, rows.values(), conflict=_SAID_BEFORE)
    tx.fresh.wrote("publication", (object_id for object_id, _, _ in rows))


_COLUMNS = ("incident_id", "object_id", "collection_id", "state", "version_key", "follow", "decided")
_KEY = ("object_id", "incident_id", "collection_id")
_SAID_BEFORE = bulk.Conflict(_KEY, ("state", "version_key", "follow", "decided"))


async def note_released(
    tx: Transaction, collection_id: str, versions: Iterable[tuple[str, str, str]], now: int
) -> None:
    """Note what an automatic collection let in: (incident, object, version key)s. A person's word stays one."""
    newest: dict[tuple[str, str], str] = {}
    for incident_id, object_id, version_key in versions:
        place = (incident_id, object_id)
        newest[place] = max(newest.get(place, ""), version_key)
    rows = [
        _row(Publication(incident_id, object_id, collection_id, "released", version_key, False, now))
        for (incident_id, object_id), version_key in sorted(newest.items())
    ]
    await bulk.insert(tx, publication, _COLUMNS, rows, conflict=_LET_IN_BEFORE)
    tx.fresh.wrote("publication", (object_id for _, object_id in newest))


# version keys are compared byte by byte, an absent one comes before all
_LET_IN_BEFORE = bulk.Conflict(
    _KEY,
    ("version_key",),
    """publication.state <> 'held'
       AND (publication.version_key IS NULL OR publication.version_key < excluded.version_key)""",
)


async def let_in_up_to(
    tx: Transaction, version_keys: Mapping[str, str], now: int, *, but_in: Collection[str] = ()
) -> None:
    """Every word that lets some version of these objects in covers the given one too; not in some collections."""
    for object_id, version_key in sorted(version_keys.items()):
        await tx.connection.execute(
            update(publication)
            .where(
                publication.c.object_id == object_id,
                publication.c.version_key < version_key,
                publication.c.collection_id.not_in(sorted(but_in)),
            )
            .values(version_key=version_key, decided=now)
        )


async def uncover_held(tx: Transaction, collection_id: str, object_ids: Iterable[str]) -> None:
    """What is held and has left a collection was let in there once, and is no longer."""
    for batch in in_batches(dict.fromkeys(object_ids)):
        await tx.connection.execute(
            update(publication)
            .where(
                publication.c.collection_id == collection_id,
                publication.c.object_id.in_(batch),
                publication.c.state == "held",
            )
            .values(version_key=None)
        )


async def publications(tx: Transaction, object_ids: Iterable[str]) -> dict[tuple[str, str, str], Publication]:
    """Every word on the objects, by (incident id, object id, collection id)."""
    found = {}
    for batch in in_batches(tx.fresh.to_ask("publication", list(object_ids))):
        for row in await tx.connection.execute(select(publication).where(publication.c.object_id.in_(batch))):
            found[row.incident_id, row.object_id, row.collection_id] = _publication(row)
    return found


async def waiting(tx: Transaction) -> list[str]:
    """The incidents of ours whose newest version no person's word covers, in any collection, in order of id."""
    p, version = publication.c, object_version.c
    newest = (
        select(func.max(version.version_key))
        .where(
            version.id == belonging.c.incident_id,
            exists().where(source.c.version_seq == version.seq, source.c.word != "withdraw"),
        )
        .correlate(belonging)  # of the outermost query, also from inside `covered`
        .scalar_subquery()
    )
    covered = exists().where(
        p.object_id == belonging.c.incident_id,
        p.incident_id == belonging.c.incident_id,
        p.state != "released",
        or_(p.state == "held", p.follow, p.version_key >= newest),
    )
    wanted = select(belonging.c.incident_id).where(
        belonging.c.object_id == belonging.c.incident_id, newest.is_not(None), ~covered
    )
    return list((await tx.connection.execute(wanted.order_by(belonging.c.incident_id))).scalars())


def _row(word: Publication) -> tuple[Any, ...]:
    return (
        word.incident_id,
        word.object_id,
        word.collection_id,
        word.state,
        word.version_key,
        word.follow,
        word.decided,
    )


def _publication(row: Row[Any]) -> Publication:
    return Publication(
        row.incident_id, row.object_id, row.collection_id, row.state, row.version_key, row.follow, row.decided
    )
