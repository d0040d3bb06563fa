"""Node: `tocsin serve` in a process of its own, as an operator starts it: accounts, tokens, policies, audit."""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.client import Broken
from tests.bench.corpus import Corpus
from tests.bench.processes import Server, launch
from tests.bench.targets.taxii import MEDIA_TYPE, TaxiiTarget, basic
from typer.testing import CliRunner

from tocsin.cli.main import make_app
from tocsin.settings import Home
from tocsin.sharing.apply import in_force
from tocsin.stix.objects import ObjectVersion, from_micros, named, read_object
from tocsin.store import objects, parties, postings, releases
from tocsin.store.objects import Word
from tocsin.store.releases import Entry
from tocsin.store.transaction import Store

TOCSIN = Path(sys.executable).with_name("tocsin")
POSTED = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
IMPORTED = "3f0c4d5e-7a11-4c1e-9b0d-000000000002"
_FILL_BATCH = 5_000

SETTINGS = """
node: {{name: CERT Alpha, country: EE, database: "{database}"}}
accounts:
  walt: {{kind: company, country: EE, sectors: [naics:62]}}
  rita: {{kind: company, country: EE, sectors: [naics:52]}}
  hospital: {{kind: company, country: LV, sectors: [nis2:health]}}
  mari: {{role: publisher}}
collections:
  regional:
    id: {posted}
    title: Regional exchange
    readers: [rita, walt, hospital]
    writers: [walt]
    clearance: amber
    unmarked: amber
    policy: regional
  incidents:
    id: {imported}
    title: Incidents of this node
    readers: [rita]
    clearance: amber
    release: automatic
    policy: incidents
"""
REGIONAL = """
rules:
  - {id: no-red, match: {tlp: red, origin: any}, then: deny, reason: TLP:RED goes to named recipients only}
  - id: posted
    match: {type: [incident, indicator, identity, relationship, domain-name, ipv4-addr, file]}
    then: allow
    reason: what members bring is for all members
  - id: no-near-misses
    match: {type: incident, stage: [threat, near-miss]}
    then: deny
    reason: only what happened
  - id: suspected-victims-stay-home
    match: {readers_outside: EE, determination: suspected, origin: any}
    then: redact
    redact: [victim, reporter, attribution]
    reason: victims are not named abroad before it is confirmed
  - {id: many-countries, when: "size(object.countries) > 3", then: deny, reason: released by hand}
"""
INCIDENTS = """
rules:
  - {id: no-red, match: {tlp: red, origin: any}, then: deny, reason: TLP:RED goes to named recipients only}
  - id: ours
    match: {type: [incident, identity, relationship]}
    then: allow
    reason: our incidents are what this collection is for
  - {id: many-countries, when: "size(object.countries) > 20", then: deny, reason: released by hand}
"""


def tocsin(home: Path, *words: str) -> str:
    """A command as an operator types it, in this process; its standard output. Raises Broken with what it said."""
    done = CliRunner().invoke(make_app(), [*words, "--home", str(home)])
    if done.exit_code != 0:
        raise Broken(f"tocsin {' '.join(words)}: {done.stderr.strip()[-500:]} {done.exception!r}")
    return done.stdout.strip()


def make_home(home: Path, database: str) -> Home:
    """A home with its configuration in force. `database`: as in tocsin.yaml."""
    tocsin(home, "init", "--name", "CERT Alpha", "--country", "EE")
    made = Home(home)
    made.write_settings(SETTINGS.format(database=database, posted=POSTED, imported=IMPORTED))
    (made.policies / "regional.yaml").write_text(REGIONAL)
    (made.policies / "incidents.yaml").write_text(INCIDENTS)
    tocsin(home, "apply", "--yes")
    return made


def start(
    folder: Path, engine: str, database: str, *, corpus: Corpus, count: int = 0, database_pid: int | None = None
) -> TaxiiTarget:
    """A running node whose collection `regional` holds the first `count` objects of a corpus."""
    home = make_home(folder, database)
    reader, writer = (tocsin(folder, "account", "token", name) for name in ("rita", "walt"))
    head = asyncio.run(_fill(_url(home, database), corpus, count)) if count else ""
    server = serve(folder)
    accept = {"Host": "node.example", "Accept": MEDIA_TYPE}
    return TaxiiTarget(
        name=f"tocsin-{engine}",
        engine=engine,
        server=server,
        path=f"/exchange/collections/{POSTED}/",
        reading={**accept, "Authorization": basic("rita", reader)},
        writing={**accept, "Authorization": f"Bearer {writer}"},
        stop=server.stop,
        head=head,
        database_pid=database_pid,
    )


def _url(home: Home, database: str) -> str:
    return f"sqlite:///{home.database_file}" if database == "sqlite" else database


def serve(home: Path) -> Server:
    """`tocsin serve`, once it listens."""
    log = home / "serve.log"
    server = launch([str(TOCSIN), "serve", "--home", str(home), "--port", "0"], log, cwd=home)
    deadline = time.monotonic() + 60
    while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
        if server.process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            raise Broken(f"tocsin serve: {log.read_text()[-500:]}")
        time.sleep(0.05)
    server.port = int(found[1])
    return server


def _versions(corpus: Corpus, count: int) -> Iterator[list[ObjectVersion]]:
    for first in range(0, count, _FILL_BATCH):
        made = corpus.many(first, min(_FILL_BATCH, count - first))
        yield [read_object(one.raw) for one in made]


async def _fill(url: str, corpus: Corpus, count: int) -> str:
    """Put objects into store and log as posts of `walt`, past the door and policy: a POST of each would take the
    longer part of an hour for a million. Gives the last position as a time."""
    store = await Store.open(url)
    last = 0
    try:
        async with store.reading() as tx:
            configuration = await in_force(tx)
            writer = await parties.party_by_name(tx, "walt")
        assert writer is not None
        for batch in _versions(corpus, count):
            async with store.writing() as tx:
                now = await tx.now()
                stored = await objects.add_versions(tx, batch, received=now)
                pairs = list(zip(batch, stored, strict=True))
                await objects.set_words(
                    tx,
                    [Word(one.seq, writer.id, POSTED, "put", False, 0, now, v.creator) for v, one in pairs],
                )
                await objects.note_references(tx, [(one.seq, named(v.value)) for v, one in pairs])
                await postings.put_postings(tx, POSTED, [version.id for version in batch], writer.id, now)
                entries = [
                    Entry("put", v.id, v.type, one.seq, one.version_key, "whole", 0, ("posted",))
                    for v, one in pairs
                ]
                written = await releases.append(tx, POSTED, entries, configuration.sha256, now)
                last = written[-1].position
    finally:
        await store.close()
    return from_micros(last)
