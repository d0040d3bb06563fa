"""Comparing: how the objects of a world stand in the node, beside how the naive opinion says they should."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphs import Step, World
from life import Life
from naive import DEFINITIONS, Naive, names
from tocsin.store import pages
from tocsin.store.releases import collections
from traces import Permitted

# STIX asks of these for at least one of several properties, or for a form: which the naive opinion leaves open
_OPEN = frozenset(
    [
        "artifact",
        "email-message",
        "file",
        "identity",
        "incident",
        "indicator",
        "location",
        "malware",
        "malware-analysis",
        "network-traffic",
        "observed-data",
        "process",
        "user-account",
        "windows-registry-key",
        "x509-certificate",
    ]
)
Forms = Mapping[str, str]
Excused = frozenset[tuple[str, str]]


async def standing(life: Life) -> dict[str, dict[str, str]]:
    """By collection, id → whole or copy, for the objects of the world."""
    told = {one.id for one in life.world.told()}
    found = {}
    async with life.store.reading() as tx:
        for row in await collections(tx):
            rows = (await pages.page(tx, row.id, pages.Filter(), 100_000)).rows
            found[row.key] = {one.object_id for one in rows}
    forms = {}
    for key, ids in found.items():
        links = await life.originals(key)
        copied = {id_: "copy" for id_, copy in links.items() if copy in ids}
        forms[key] = copied | dict.fromkeys(ids & told, "whole")
        doubled = copied.keys() & ids
        assert not doubled, f"{key}: both whole and as a copy: {sorted(doubled)}"
        strange = {id_ for id_ in ids - told - set(links.values()) if not _of_the_node(id_)}
        assert not strange, f"{key}: nobody told of {sorted(strange)}"
    return forms


def _of_the_node(id_: str) -> bool:
    return id_.partition("--")[0] in ("identity", *DEFINITIONS)


@dataclass(frozen=True)
class Opinion:
    """The naive opinion of a life, how it stands apart from what stands, and what readers may find."""

    naive: Naive
    permitted: Permitted
    differences: tuple[str, ...] = ()


def second_opinion(world: World, steps: Sequence[Step], excused: Excused = frozenset()) -> Opinion:
    opinion = Opinion(Naive(world, excused), Permitted(world))
    for step in steps:
        opinion.naive.step(step)
        opinion.permitted.look(opinion.naive)
    return opinion


def compare(world: World, steps: Sequence[Step], forms: Mapping[str, Forms]) -> Opinion:
    """What stands otherwise than it should, in words, beside the opinion it was held against.

    A copy may turn out to be impossible because it would not be valid; such an object is excused, of the types
    where that may be, and what follows from it is judged again.
    """
    excused: Excused = frozenset()
    while True:
        opinion = second_opinion(world, steps, excused)
        found = list(_differing(opinion, forms))
        more = {
            (key, id_)
            for key, id_, should, does in found
            if (should, does) == ("copy", "out") and id_.partition("--")[0] in _OPEN
        }
        if not more - excused:
            break
        excused |= more
    said = (f"{key}: {id_} should stand {should}, and stands {does}" for key, id_, should, does in found)
    return replace(opinion, differences=tuple(said))


def _differing(opinion: Opinion, forms: Mapping[str, Forms]) -> Iterator[tuple[str, str, str, str]]:
    for key, state in opinion.naive.stands.items():
        for id_ in sorted(state.keys() | forms[key].keys()):
            should = {"closed": "copy"}.get(state[id_].form, state[id_].form) if id_ in state else "out"
            does = forms[key].get(id_, "out")
            if should != does and not _left_open(opinion, key, id_, should, does):
                yield key, id_, should, does


def _left_open(opinion: Opinion, key: str, id_: str, should: str, does: str) -> bool:
    """Whether a definition is named only by copies, which may not show what it defines, or by an older version."""
    if id_.partition("--")[0] not in DEFINITIONS:
        return False
    naming = [one for one in opinion.naive.stands[key].values() if id_ in names(one.told.value)]
    if (should, does) == ("whole", "out"):
        return all(one.form == "copy" for one in naming)
    return (should, does) == ("out", "whole") and opinion.permitted.older_names(key, id_)
