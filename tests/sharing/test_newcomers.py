"""What is new takes a shorter way than what is known, and ends where the long way would have ended.

Two stores live through the same story of posts: in one, nothing counts as new. `TOCSIN_TEST_STORIES` asks for
more of them.
"""

import os
import random
from collections import Counter

import pytest
from sqlalchemy import select

from scene import ALLOW_ANY, Scene, an_incident, identity_of, relationship
from tocsin.intake import receive as receiving
from tocsin.sharing import node as our_node
from tocsin.sharing import release as releasing
from tocsin.sharing.newcomers import Newcomers
from tocsin.stix.objects import keyed_id
from tocsin.store.tables import release
from tocsin.store.transaction import Store

STORIES = int(os.environ.get("TOCSIN_TEST_STORIES", "10"))
STEPS = 6
IDS = {"a": "3f0c4d5e-7a11-4c1e-9b0d-00000000000a", "b": "3f0c4d5e-7a11-4c1e-9b0d-00000000000b"}
NOW = 1_772_366_400_000_000  # µs
OPEN = "{id: posted, match: {type: [incident, identity, relationship, domain-name, note]}, then: allow, reason: x}"
POLICIES = [
    f"rules: [{OPEN}]",
    f"rules: [{OPEN}, {{id: d, match: {{type: identity}}, then: deny, reason: y}}]",
    f"rules: [{OPEN}, {{id: r, match: {{means: wiper, origin: any}}, then: redact, redact: [victim], reason: y}}]",
    f"rules: [{OPEN}, {{id: c, when: 'size(object.countries) > 1', then: deny, reason: y}}]",
    f"rules: [{OPEN}, {{id: s, when: 'has(stix.name) && stix.name.contains(\"WIPER\")', then: deny, reason: y}}]",
    "rules: [{id: some, match: {type: [incident, domain-name]}, then: allow, reason: x}]",
    "rules: [{id: theirs, match: {origin: [writer, rival], type: incident}, then: allow, reason: x}]",
    ALLOW_ANY,
]


class Posts:
    """A story from a seed, and a transcript of what was told and written."""

    def __init__(self, store: Store, seed: int) -> None:
        self.scene = Scene(store)
        self.dice = random.Random(seed)
        self.transcript: list[object] = []
        self.creators = [identity_of(name) for name in ("Delta", "Epsilon")]

    async def live(self) -> None:
        await self._apply()
        for _ in range(STEPS):
            if self.dice.random() < 0.15:
                await self._apply()
            writer, key = self.dice.choice(["writer", "rival"]), self.dice.choice("ab")
            values = [self._value() for _ in range(self.dice.randint(1, 6))]
            told = await self.scene.post(writer, key, *values)
            self.transcript.append([(one.outcome, one.id, one.version, one.message) for one in told])
            self.transcript.append(await self._written())

    async def _apply(self) -> None:
        who = {"readers": ["acme"], "writers": ["writer", "rival"]}
        asked = (
            {"a": {"id": IDS["a"], **who}, "b": {"id": IDS["b"], **who}},
            {"a": self.dice.choice(POLICIES), "b": self.dice.choice(POLICIES)},
        )
        plan = await self.scene.plan(*asked)
        await self.scene.apply(*asked, confirmed=plan.taken_away or None)

    def _value(self) -> dict:
        self.scene.later()
        creator = self.dice.choice(self.creators)
        one, other = (keyed_id(b"posts", "incident", self.dice.choice("ABCD")) for _ in range(2))
        tlp = self.dice.choice(["green", "green", "green", "red"])
        match self.dice.randrange(7):
            case 0:
                return creator
            case 1:
                return {
                    "type": "domain-name",
                    "spec_version": "2.1",
                    "id": keyed_id(b"posts", "domain-name", name := self.dice.choice("xyz")),
                    "value": f"{name}.example",
                }
            case 2:
                return relationship(one, other, creator["id"], at=self.scene.clock, tlp=tlp)
            case 3:
                return an_incident(self.scene.clock, "gone", creator=creator["id"], id=one) | {"revoked": True}
            case _:
                said = {"means": ["wiper"]} if self.dice.random() < 0.3 else {}
                said |= {"countries": ["EE", "LV"]} if self.dice.random() < 0.3 else {}
                name = self.dice.choice(["plain", "WIPER"])
                return an_incident(self.scene.clock, name, tlp=tlp, creator=creator["id"], id=one, **said)

    async def _written(self) -> Counter:
        r = release.c
        asked = select(r.op, r.object_id, r.version_key, r.form, r.rules, r.hops, r.current, r.last)
        async with self.scene.store.reading() as tx:
            keys = {id_: key for key, id_ in (await self.scene.ids(tx)).items()}
            rows = await tx.connection.execute(asked.add_columns(r.collection_id))
            return Counter((keys[row[-1]], *row[:4], tuple(row[4]), *row[5:-1]) for row in rows)


@pytest.mark.parametrize("seed", range(STORIES))
async def test_the_short_way_ends_where_the_long_one_does(make_database, monkeypatch, seed):
    async def nothing_is_new(tx, *_):
        return Newcomers(), list(_[-1])

    async def all_is_known(tx, ids):
        return None

    async def transcript() -> list[object]:
        store = await Store.open(make_database("sqlite"), clock=lambda: NOW, require_durable=False)
        try:
            posts = Posts(store, seed)
            await posts.live()
            return posts.transcript
        finally:
            await store.close()

    short = await transcript()
    monkeypatch.setattr(releasing, "tell_apart", nothing_is_new)
    for room in (receiving, our_node):
        monkeypatch.setattr(room.objects, "begin_fresh", all_is_known)
    assert short == await transcript()


async def test_what_is_new_does_take_the_short_way(make_database, monkeypatch):
    """Else the test above would compare the long way with itself."""
    judged = []

    async def counting(tx, court, ids, newcomers=None):
        judged.extend(ids)
        return []

    monkeypatch.setattr(releasing, "judge", counting)
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        posts = Posts(store, 1)
        await posts.scene.apply({"a": {"writers": ["writer"]}}, {"a": POLICIES[0]})
        judged.clear()
        values = [an_incident(posts.scene.clock, str(n), id=keyed_id(b"n", "incident", str(n))) for n in range(5)]
        told = await posts.scene.post(
            "writer", "a", *[value | {"created_by_ref": posts.creators[0]["id"]} for value in values]
        )
        assert [one.outcome for one in told] == ["success"] * 5
        assert judged == []
        assert len(await posts.scene.seen("a")) >= 5
    finally:
        await store.close()


async def test_a_collection_that_hears_nobody_else_looks_only_at_who_may_enter_as_creator(
    make_database, monkeypatch
):
    looked_at = {}
    tell_apart = releasing.tell_apart

    async def noting(tx, court, ids):
        looked_at.setdefault(court.key, set(ids))  # at first, before anything entered
        return await tell_apart(tx, court, ids)

    monkeypatch.setattr(releasing, "tell_apart", noting)
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        scene = Posts(store, 1).scene
        allowing = "rules: [{id: some, match: {type: incident}, then: allow, reason: x}]"
        await scene.apply(
            {key: {"writers": ["writer"]} for key in "abc"}, {"a": allowing, "b": allowing, "c": ALLOW_ANY}
        )
        creator = identity_of("Delta")
        first, second = (
            an_incident(scene.clock, str(n), id=keyed_id(b"n", "incident", str(n)), creator=creator["id"])
            for n in range(2)
        )
        await scene.post("writer", "b", first)
        looked_at.clear()
        await scene.post("writer", "a", second, creator)
        assert looked_at["a"] == looked_at["c"] >= {first["id"], second["id"], creator["id"]}
        assert looked_at["b"] == looked_at["a"] - {second["id"]}
        assert creator["id"] in await scene.seen("b")  # what stands there names it
        assert second["id"] not in await scene.seen("b")
    finally:
        await store.close()
