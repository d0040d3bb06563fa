"""Judging: a node with a policy of twenty rules for ten collections, and incidents of its own to judge."""

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path

from tests.bench.client import Broken
from tests.bench.corpus import BLOCK, Corpus, Made
from tests.bench.measure import Sample, sampled
from tests.bench.targets.node import TOCSIN, serve, tocsin
from tests.bench.targets.taxii import MEDIA_TYPE, TaxiiTarget, basic

from tocsin.cli.session import session
from tocsin.settings import Home
from tocsin.sharing.node import Node, keep_company
from tocsin.sharing.publish import publish
from tocsin.stix.objects import ObjectVersion, make_object
from tocsin.store.transaction import in_batches

COLLECTIONS = 10
RULES = 20
_BATCH = 200  # incidents in one transaction, as imports have it
_COUNTRIES = ("EE", "LV", "LT", "FI", "SE")
_PLACES = tuple(place for place, kind in enumerate(BLOCK) if kind == "incident")
_HEAD = """rules:
  - {id: no-red, match: {tlp: red, origin: any}, then: deny, reason: TLP:RED goes to named recipients only}
  - {id: ours, match: {type: [incident, identity, relationship]}, then: allow, reason: our incidents are shared}
  - {id: many-countries, when: "size(object.countries) > 3", then: deny, reason: released by hand}
  - {id: no-near-misses, match: {stage: [threat, near-miss]}, then: deny, reason: only what happened}
  - id: suspected-victims-stay-home
    match: {readers_outside: [EE, LV, LT, FI, SE], determination: suspected, origin: any}
    then: redact
    redact: [victim, reporter, attribution]
    reason: victims are not named abroad before it is confirmed
"""
_SECTOR = """  - id: sector-{number}
    match: {{type: incident, sectors: "naics:{number}", means: [supply-chain]}}
    then: deny
    reason: this sector's suppliers are told by its own desk
"""
CHANGED = "  - {id: not-sweden, match: {countries: SE}, then: deny, reason: they hear of it from their own}\n"


def policy(*, changed: bool) -> str:
    """Twenty rules; `changed`: the last of them is one that keeps out every sixth or so of what stands."""
    sectors = [_SECTOR.format(number=11 + number) for number in range(RULES - 5 - changed)]
    return _HEAD + "".join(sectors) + (CHANGED if changed else "")


def _settings(database: str) -> str:
    accounts = [
        f"  reader{number}: {{kind: company, country: {country}, sectors: [naics:62]}}\n"
        for number, country in enumerate(_COUNTRIES)
    ]
    readers = [(number % 5, (number + 1) % 5) for number in range(COLLECTIONS)]
    collections = [
        f"  c{number}: {{title: Collection {number}, readers: [reader{one}, reader{other}], "
        "clearance: amber, policy: exchange}\n"
        for number, (one, other) in enumerate(readers)
    ]
    return (
        f'node: {{name: CERT Alpha, country: EE, database: "{database}"}}\n'
        f"accounts:\n{''.join(accounts)}collections:\n{''.join(collections)}"
    )


def start(folder: Path, engine: str, database: str, database_pid: int | None) -> TaxiiTarget:
    """A running node without incidents, and one of the two readers of the first of its collections."""
    tocsin(folder, "init", "--name", "CERT Alpha", "--country", "EE")
    home = Home(folder)
    home.write_settings(_settings(database))
    policy_file(folder).write_text(policy(changed=False))
    tocsin(folder, "apply", "--yes")
    token = tocsin(folder, "account", "token", "reader0")
    server = serve(folder)
    headers = {"Host": "node.example", "Accept": MEDIA_TYPE, "Authorization": basic("reader0", token)}
    return TaxiiTarget(
        name=f"tocsin-{engine}",
        engine=engine,
        server=server,
        path="/exchange/collections/c0/",
        reading=headers,
        writing=headers,
        stop=server.stop,
        database_pid=database_pid,
    )


def policy_file(folder: Path) -> Path:
    """The policy of all ten collections."""
    return Home(folder).policies / "exchange.yaml"


def incidents(corpus: Corpus, first: int, count: int) -> list[Made]:
    """Incidents of the corpus by their own count."""
    numbers = (divmod(number, len(_PLACES)) for number in range(first, first + count))
    return [corpus.make(block * len(BLOCK) + _PLACES[place]) for block, place in numbers]


def publish_all(target: TaxiiTarget, made: list[Made]) -> Sample:
    """Store incidents as our own off the clock, then publish them to every collection, 200 in a transaction. What
    it costs is that of this process, and of a PostgreSQL."""
    folder = str(target.server.log.parent)
    ids = asyncio.run(_keep(folder, made))
    return sampled(os.getpid(), target.database_pid, lambda: asyncio.run(_publish(folder, ids)))


async def _keep(folder: str, made: list[Made]) -> list[str]:
    async with session(folder) as here:
        ours = [_of(here.node, one) for one in made]
        for batch in in_batches(ours, _BATCH):
            async with here.store.writing() as tx:
                await keep_company(tx, {one.id: [(one, "incident")] for one in batch}, await tx.now())
    return [one.id for one in ours]


def _of(node: Node, made: Made) -> ObjectVersion:
    return make_object(json.loads(made.raw) | {"created_by_ref": node.identity})


async def _publish(folder: str, ids: list[str]) -> Sample:
    latencies: list[float] = []
    async with session(folder) as here:
        configuration = await here.configuration()
        for batch in in_batches(ids, _BATCH):
            began = time.perf_counter()
            async with here.store.writing() as tx:
                done = await publish(tx, configuration, here.node, batch, now=await tx.now())
            latencies.append(time.perf_counter() - began)
            entered = Counter(one.object_id for one in done if one.what == "whole")
            if any(entered[id_] != COLLECTIONS for id_ in batch):
                raise Broken(f"an incident did not enter all of the {COLLECTIONS} collections")
    return Sample(len(ids), sum(latencies), latencies)


def nothing(target: TaxiiTarget) -> list[str | Path]:
    """A command that opens the home and does next to nothing."""
    return [TOCSIN, "account", "list", "--json", "--home", target.server.log.parent]


def preview(target: TaxiiTarget, policy_text: str) -> list[str | Path]:
    """The command that shows what this policy would do, and does nothing."""
    folder = target.server.log.parent
    draft = folder / "draft" / policy_file(folder).name
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(policy_text)
    return [TOCSIN, "policy", "preview", draft, "--json", "--home", folder]


def apply(target: TaxiiTarget, policy_text: str, confirm: int) -> list[str | Path]:
    """The command that brings it into force. `confirm`: how many objects readers lose."""
    folder = target.server.log.parent
    policy_file(folder).write_text(policy_text)
    return [TOCSIN, "apply", "--yes", "--json", "--confirm", str(confirm), "--home", folder]
