"""Scene: a node with collections and policies in a few lines, for tests of what leaves it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.intake.receive import Posted, Received, read_offered, receive, receive_posts
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.sharing import apply as applying
from tocsin.sharing.explain import Explanation, explain
from tocsin.sharing.node import Node, keep_company
from tocsin.sharing.publish import hold, publish
from tocsin.sharing.release import Outcome, release
from tocsin.stix.effects import EXTENSION_ID
from tocsin.stix.markings import tlp_from_word
from tocsin.stix.objects import ObjectVersion, keyed_id, make_object, stix_time
from tocsin.store import pages, parties, releases
from tocsin.store.transaction import Store

NODE = Node(b"s" * 32)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

NODE_YAML = """
node: {name: CERT Alpha, country: EE}
accounts:
  acme: {kind: company, country: EE, sectors: [naics:52]}
  writer: {kind: company, country: EE}
  rival: {kind: company, country: EE}
peers:
  beta: {kind: cert, country: LV, url: "https://beta.example/taxii2/"}
  gamma: {kind: cert, country: LT, url: "https://gamma.example/taxii2/"}
"""

ALLOW_OURS = "rules: [{id: ours, match: {type: incident}, then: allow, reason: ours are shared}]"
ALLOW_ALL_OURS = "rules: [{id: ours, match: {origin: ours}, then: allow, reason: all of ours}]"
ALLOW_ANY = "rules: [{id: any, match: {origin: any}, then: allow, reason: whatever comes}]"


@dataclass
class Scene:
    """One store with a configuration in force, and a clock that the test turns."""

    store: Store
    configuration: Configuration | None = None
    clock: datetime = START

    @property
    def now(self) -> int:
        return int(self.clock.timestamp()) * 1_000_000 + self.clock.microsecond

    def later(self, **by: float) -> None:
        self.clock += timedelta(**(by or {"seconds": 1}))

    async def apply(
        self,
        collections: Mapping[str, Mapping[str, Any]],
        policies: Mapping[str, str],
        confirmed: int | None = None,
    ) -> list[Outcome]:
        """Bring a configuration into force: collections by key, policies by name."""
        self.later()
        foreseen = await self.plan(collections, policies)
        done = await applying.apply(self.store, foreseen, NODE, confirmed=confirmed)
        self.configuration = done.proposed
        return done

    async def plan(
        self, collections: Mapping[str, Mapping[str, Any]], policies: Mapping[str, str]
    ) -> applying.Plan:
        return await applying.plan(self.store, read_configuration(files(collections, policies)), NODE)

    async def make(self, *made: tuple[ObjectVersion, str], incident: str | None = None) -> list[Outcome]:
        """Store objects of ours as an import would: (version, role) belonging to the incident among them."""
        self.later()
        incident = incident or next(version.id for version, _ in made if version.type == "incident")
        async with self.store.writing() as tx:
            touched, left = await keep_company(tx, {incident: made}, self.now)
            return await release(tx, self.configuration, NODE, [*touched, *left], now=self.now)

    async def publish(self, *ids: str, key: str | None = None, follow: bool = False) -> list[Outcome]:
        self.later()
        async with self.store.writing() as tx:
            return await publish(tx, self.configuration, NODE, ids, now=self.now, key=key, follow=follow)

    async def hold(self, *ids: str, key: str | None = None) -> list[Outcome]:
        self.later()
        async with self.store.writing() as tx:
            return await hold(tx, self.configuration, NODE, ids, now=self.now, key=key)

    async def receive(self, peer: str, *offered: Mapping[str, Any] | bytes, hops: int = 0) -> list[Received]:
        self.later()
        async with self.store.writing() as tx:
            party = await parties.party_by_name(tx, peer)
            items = [read_offered(o if isinstance(o, bytes) else make_object(o).raw, hops) for o in offered]
            return await receive(tx, self.configuration, NODE, items, party, f"{peer}-collection", now=self.now)

    async def post(self, account: str, key: str, *raws: Mapping[str, Any] | bytes) -> list[Posted]:
        self.later()
        async with self.store.writing() as tx:
            party = await parties.party_by_name(tx, account)
            items = [read_offered(raw if isinstance(raw, bytes) else make_object(raw).raw) for raw in raws]
            return await receive_posts(tx, self.configuration, NODE, key, party, items, now=self.now)

    async def ids(self, tx) -> dict[str, str]:
        return {row.key: row.id for row in await releases.collections(tx)}

    async def seen(self, key: str) -> dict[str, dict[str, Any]]:
        """What a reader of the collection finds: the last version of each object, by id."""
        async with self.store.reading() as tx:
            rows = (await pages.page(tx, (await self.ids(tx))[key], pages.Filter(), 10_000)).rows
        return {row.object_id: json.loads(row.raw) for row in rows}

    async def incidents_seen(self, key: str) -> set[str]:
        return {id_ for id_ in await self.seen(key) if id_.startswith("incident--")}

    async def explain(self, id_: str, key: str) -> Explanation:
        async with self.store.reading() as tx:
            (found,) = await explain(tx, self.configuration, NODE, id_, key=key)
            return found

    def incident(self, name: str = "one", *, tlp: str | None = "green", **effects: Any) -> ObjectVersion:
        """An incident of ours; the same name again is its next version."""
        return make_object(an_incident(self.clock, name, tlp=tlp, **effects))


def files(collections: Mapping[str, Mapping[str, Any]], policies: Mapping[str, str]) -> dict[str, str]:
    lines = [NODE_YAML, "collections:" if collections else ""]
    for key, settings in collections.items():
        policy = {} if settings.get("direct") else {"policy": key}
        lines.append(f"  {key}: " + json.dumps({"title": key} | policy | dict(settings)))
    return {"tocsin.yaml": "\n".join(lines), **{f"policies/{name}.yaml": text for name, text in policies.items()}}


def an_incident(
    at: datetime,
    name: str = "one",
    *,
    tlp: str | None = "green",
    creator: str = NODE.identity,
    id: str | None = None,
    **effects: Any,
) -> dict[str, Any]:
    extension = {
        "extension_type": "property-extension",
        "effects": [{"effect": "data-attack", "confidence": 90, "basis": "mapped", "rule": "test"}],
        "effect_type": "disruptive",
        "stage": "effect",
    } | effects
    value = {
        "type": "incident",
        "spec_version": "2.1",
        "id": id or keyed_id(NODE.secret, "incident", name),
        "created": stix_time(START),
        "modified": stix_time(at),
        "created_by_ref": creator,
        "name": f"data-attack {name}",
        "extensions": {EXTENSION_ID: extension},
    }
    if tlp:
        value["object_marking_refs"] = [tlp_from_word(tlp).marking]
    return value


def identity_of(
    name: str, creator: str | None = None, *, tlp: str | None = "green", at: datetime = START
) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": "identity",
        "spec_version": "2.1",
        "id": keyed_id(b"elsewhere", "identity", name),
        "created": stix_time(START),
        "modified": stix_time(at),
        "name": name,
        "identity_class": "organization",
    }
    if creator:
        value["created_by_ref"] = creator
    if tlp:
        value["object_marking_refs"] = [tlp_from_word(tlp).marking]
    return value


def relationship(
    source: str, target: str, creator: str, at: datetime = START, tlp: str = "green"
) -> dict[str, Any]:
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": keyed_id(b"elsewhere", "relationship", source, target),
        "created": stix_time(START),
        "modified": stix_time(at),
        "created_by_ref": creator,
        "relationship_type": "targets",
        "source_ref": source,
        "target_ref": target,
        "object_marking_refs": [tlp_from_word(tlp).marking],
    }


def whats(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], str]:
    """What became of the incidents, by collection and id."""
    return {(o.collection, o.object_id): o.what for o in outcomes if o.object_id.startswith("incident--")}
