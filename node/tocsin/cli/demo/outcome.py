"""Outcome: what went where, and whether it is exactly what the policies say: no object more, none less, no name.

What should be hidden is taken from the sample files themselves, not from what a node made of them; what Beta holds
is read from its database, and the names are looked for in every value of that database and in every byte of its
files, deleted ones too.
"""

import asyncio
import csv
import json
import sqlite3
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.cli.console import WIDTH, say, show_table
from tocsin.cli.demo.acme import Acme
from tocsin.cli.demo.exchange import SAMPLES, TABLE, Exchange
from tocsin.cli.demo.node import DemoNode
from tocsin.cli.ids import short
from tocsin.cli.listing import Seen, all_seen, look_around
from tocsin.cli.session import session
from tocsin.cli.wording import fitted, omitted_words, type_and_effects, where
from tocsin.sharing.explain import Explanation, explain
from tocsin.store import objects, parties, releases

Held = set[tuple[str, str, str]]  # id, version key, SHA-256
_OWN = frozenset({"identity", "marking-definition", "extension-definition"})  # what a new node makes for itself


@dataclass(frozen=True, slots=True)
class Row:
    """One incident of CERT Alpha, and how it stands in each collection."""

    seen: Seen
    where: tuple[Explanation, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything the demo shows. `faults`: sentences on what is not as it should be; none when it held."""

    rows: tuple[Row, ...]
    collections: Mapping[str, str]  # key → id
    offered: Held
    by_collection: Mapping[str, int]  # key → how many objects, versions counted
    hidden: tuple[str, ...]
    shown: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def held(self) -> bool:
        return not self.faults


def judge_exchange(exchange: Exchange, acme: Acme) -> Found:
    """Compare both nodes, and look for what nobody may have."""
    rows, offered, ids = asyncio.run(_of_alpha(exchange.alpha))
    held, own = asyncio.run(_of_beta(exchange.beta))
    shown, hidden = _names(rows)
    places = {"CERT Beta's database": _everything_in(exchange.beta.home), "acme's answers": b"".join(acme.answers)}
    faults = [
        *_differences(offered["open"] | offered["regional"], held, own),
        *_names_found(hidden, places),
        *_names_missing(shown, places),
        *_acme_differs(acme, offered["open"], ids["regional"]),
        *_unused_forms(rows),
    ]
    return Found(
        rows=tuple(rows),
        collections=ids,
        offered=offered["open"] | offered["regional"],
        by_collection={key: len(offered[key]) for key in ("open", "regional")},
        hidden=tuple(hidden),
        shown=tuple(shown),
        faults=tuple(faults),
    )


# --- what each of them has -----------------------------------------------------------------------------------


async def _of_alpha(alpha: DemoNode) -> tuple[list[Row], dict[str, Held], dict[str, str]]:
    """Its incidents, what stands in each of its collections, and the collections' ids."""
    async with session(str(alpha.home)) as here:
        configuration = await here.configuration()
        async with here.store.reading() as tx:
            around = await look_around(tx, configuration)
            rows = [
                Row(seen, tuple(await explain(tx, configuration, here.node, seen.id)))
                async for seen in all_seen(tx, around)
            ]
            offered: dict[str, Held] = {}
            collections = {row.key: row.id for row in await releases.collections(tx)}
            for key, collection_id in collections.items():
                standing = await releases.standing(
                    tx, collection_id, await releases.standing_ids(tx, collection_id)
                )
                offered[key] = {
                    (id_, version_key, version.sha256)
                    for id_, found in standing.items()
                    for version_key, version in found.versions.items()
                }
    return sorted(rows, key=_record_id), offered, collections


def _record_id(row: Row) -> str:
    return row.seen.record.source_id if row.seen.record else ""


async def _of_beta(beta: DemoNode) -> tuple[Held, Held]:
    """What Beta holds on Alpha's word, and what it holds on its own alone."""
    async with session(str(beta.home)) as here, here.store.reading() as tx:
        party = await parties.party_by_name(tx, "cert-alpha")
        held: Held = set()
        own: Held = set()
        for versions in (await objects.offered(tx, await objects.all_ids(tx))).values():
            for version in versions:
                from_alpha = any(party is not None and source.party_id == party.id for source in version.sources)
                (held if from_alpha else own).add((version.id, version.version_key, version.sha256))
    return held, own


def _names(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Names and texts that may be seen, and those that may not: of each record, whether it stands whole in `open`.

    The texts of VERIS records stay where they are, whatever is published.
    """
    whole = {
        row.seen.record.source_id
        for row in rows
        if row.seen.record and any(one.collection == "open" and one.stands == "whole" for one in row.where)
    }
    shown: list[str] = []
    hidden: list[str] = []
    for source_id, names, local in _samples():
        (shown if source_id in whole else hidden).extend(names)
        hidden.extend(local)
    return shown, hidden


def _samples() -> Iterator[tuple[str, list[str], list[str]]]:
    """Of each sample its id, its names and texts meant for sharing, and its texts that never leave."""
    for folder in SAMPLES.iterdir():
        if folder.name == TABLE:
            for row in csv.DictReader(folder.read_text(encoding="utf-8").splitlines()):
                yield row["id"], [text for text in (row["victim"], row["summary"]) if text], [row["title"]]
        else:
            for file in folder.iterdir():
                record = json.loads(file.read_text(encoding="utf-8"))
                yield file.name.removesuffix(".json"), [record["victim"]["victim_id"]], [record["summary"]]


def _everything_in(home: Path) -> bytes:
    """Every value of the database, and every byte of its files: what was deleted may still lie there."""
    connection = sqlite3.connect(f"file:{home / 'tocsin.db'}?mode=ro", uri=True)
    try:
        values = "\n".join(connection.iterdump())
    finally:
        connection.close()
    files = [file.read_bytes() for file in sorted(home.glob("tocsin.db*"))]
    return b"\n".join([values.encode("utf-8"), *files])


# --- what is not as it should be -----------------------------------------------------------------------------


def _differences(offered: Held, held: Held, own: Held) -> Iterator[str]:
    for id_, version, _ in sorted(offered - held - own):
        yield f"CERT Beta lacks {id_}, version {version}, with the content that was offered"
    for id_, version, _ in sorted(held - offered):
        yield f"CERT Beta holds {id_}, version {version}, on CERT Alpha's word, which does not offer it"
    for id_, version, _ in sorted(own):
        if id_.partition("--")[0] not in _OWN:
            yield f"CERT Beta holds {id_}, version {version}, from nobody"


def _names_found(hidden: Sequence[str], places: Mapping[str, bytes]) -> Iterator[str]:
    for place, content in places.items():
        for name in hidden:
            if any(spelling in content for spelling in _spellings(name)):
                yield f"{name!r} is in {place}, and must not be"


def _names_missing(shown: Sequence[str], places: Mapping[str, bytes]) -> Iterator[str]:
    """The same search must find what may be seen: else it would find nothing because it searches badly."""
    for place, content in places.items():
        for name in shown:
            if not any(spelling in content for spelling in _spellings(name)):
                yield f"{name!r} is not in {place}, and should be"


def _spellings(name: str) -> tuple[bytes, ...]:
    """A name as text, as JSON escapes it, and in hexadecimal, as a dump of a database writes bytes."""
    plain = name.encode("utf-8")
    return plain, json.dumps(name)[1:-1].encode("ascii"), plain.hex().upper().encode("ascii")


def _acme_differs(acme: Acme, offered: Held, regional: str) -> Iterator[str]:
    if len(acme.titles) != 1:
        yield f"acme is offered {len(acme.titles)} collections, and not one"
    if set(acme.objects) != {id_ for id_, _, _ in offered}:
        yield f"acme read {len(acme.objects)} objects, and {len({id_ for id_, _, _ in offered})} are in 'open'"
    for what, path in (("the regional collection", regional), ("one that never was", regional[::-1])):
        if (status := acme.status_of(f"/exchange/collections/{path}/objects/")) != 404:
            yield f"acme asked for {what} and was answered {status}, not 404"


def _unused_forms(rows: Sequence[Row]) -> Iterator[str]:
    """The demo must have something to show of every kind."""
    forms = {_form(one) for row in rows for one in row.where}
    for form in ("whole", "redacted", "withheld", "held"):
        if form not in forms:
            yield f"nothing was {form}"
    found = {effect.effect for row in rows for effect in row.seen.findings.effects}
    if len(found) != _CATEGORIES:
        yield f"{len(found)} of {_CATEGORIES} categories were seen"


_CATEGORIES = 10


# --- showing it ----------------------------------------------------------------------------------------------


def show_exchange(found: Found) -> None:
    """The table of incidents, why each went where it went, and the comparison."""
    say()
    say("What CERT Alpha has, and where it went (cert-beta reads both collections, acme reads 'open')", "bold")
    collections = [one.collection for one in found.rows[0].where]
    header = ["incident", "type and effects", "sector, country", "TLP", *collections]
    narrowest = {"type and effects": 12, "sector, country": 10}
    header, *rows = fitted([header, *(_line(row) for row in found.rows)], narrowest, (), WIDTH)
    show_table(header, rows, gap=1)
    say("D disruptive, E exploitive, M mixed, U undetermined; the words are those of tocsin incidents.")
    say()
    _show_reasons(found.rows)
    say()
    copies = next((one.omitted for row in found.rows for one in row.where if one.stands == "redacted"), ())
    left_out = ", ".join(omitted_words(copies))
    _tell(
        f"A redacted copy has an id of its own, and leaves out: {left_out}. Victims, reporters, and what ties "
        "them to the incident, are not in the collection at all."
    )
    say()
    for fault in found.faults:
        say(f"FAULT: {fault}")
    if found.held:
        _tell(
            f"CERT Beta holds exactly the {len(found.offered)} objects that it was offered ({_sum(found)}): ids, "
            "versions and hashes are the same, and there is nothing else."
        )
        _tell(
            f"{len(found.hidden)} names and texts that must stay in CERT Alpha were looked for in CERT Beta's "
            f"database and in acme's answers: none is there. {len(found.shown)} that may be seen were found by "
            "the same search."
        )
    else:
        say(f"It did not hold: {len(found.faults)} faults.")


def _sum(found: Found) -> str:
    """`46 in 'open' and 17 in 'regional', 4 of them in both`: how it comes from what was pulled of each."""
    places = " and ".join(f"{count} in {key!r}" for key, count in found.by_collection.items())
    twice = sum(found.by_collection.values()) - len(found.offered)
    return f"{places}, {twice} of them in both" if twice else places


def _tell(text: str) -> None:
    """A paragraph."""
    for line in textwrap.wrap(text, WIDTH):
        say(line)


def _line(row: Row) -> list[str]:
    findings = row.seen.findings
    tlp = str(row.seen.attributes["tlp"]).upper() or "none"
    return [
        short(row.seen.id),
        type_and_effects(findings),
        where(findings),
        tlp,
        *(_cell(one) for one in row.where),
    ]


def _form(one: Explanation) -> str:
    return one.stands or one.would


def _cell(one: Explanation) -> str:
    """`whole`, `redacted`, or why not: the first rule of those that say so."""
    form = _form(one)
    return f"no: {one.reasons[0].rule}" if form == "withheld" and one.reasons else form


def _show_reasons(rows: Sequence[Row]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        for one in row.where:
            for reason in one.reasons:
                seen.setdefault((one.collection, reason.rule), reason.text)
    show_table(("in", "rule", "says"), [(*key, text) for key, text in seen.items()], wrap="says")
