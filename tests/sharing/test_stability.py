"""Whatever happened: judging everything again changes nothing, and what stands is closed and held.

Stories are drawn from a seed: peers bring and take back, incidents of ours change, are published and held,
policies come and go. `TOCSIN_TEST_STORIES` asks for more of them.
"""

import os
import random

import pytest

from scene import ALLOW_ANY, NODE, Scene, an_incident, identity_of, relationship
from tocsin.intake.receive import withdraw_word
from tocsin.sharing.release import MOVED, release
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import FREE_TYPES, make_object, references
from tocsin.store import objects, parties, releases
from tocsin.store.transaction import Store

STORIES = int(os.environ.get("TOCSIN_TEST_STORIES", "10"))
STEPS = 8
INCIDENTS = [f"incident--{digit}d3bd05b-0ec7-4a53-9b3b-1d8cbb0e0f5a" for digit in "012"]
CREATORS = [identity_of("CERT Delta"), identity_of("CERT Gamma")]
ADDRESS = {
    "type": "ipv4-addr",
    "spec_version": "2.1",
    "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
    "value": "198.51.100.3",
    "object_marking_refs": [Tlp.GREEN.marking],
}
ANY = ALLOW_ANY.removesuffix("]")
POLICIES = [
    ALLOW_ANY,
    f"{ANY}, {{id: r, match: {{means: wiper, origin: any}}, then: redact, redact: [victim], reason: y}}]",
    f"{ANY}, {{id: d, match: {{type: identity, origin: ours}}, then: deny, reason: y}}]",
    "rules: [{id: b, match: {type: [incident, relationship], origin: any}, then: allow, reason: x}]",
    "rules: [{id: o, match: {origin: [beta, ours]}, then: allow, reason: x}]",
]


class Story:
    """One run of random steps over one collection."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.dice = random.Random(seed)
        self.made: list[str] = []
        self.brought: list[tuple[str, dict]] = []

    async def begin(self) -> None:
        await self.apply()

    async def apply(self) -> None:
        release_ = self.dice.choice(["automatic", "by-hand"])
        asked = {"c": {"readers": ["acme"], "release": release_}}, {"c": self.dice.choice(POLICIES)}
        plan = await self.scene.plan(*asked)
        await self.scene.apply(*asked, confirmed=plan.taken_away or None)

    async def bring(self) -> None:
        peer, values = (
            self.dice.choice(["beta", "gamma"]),
            [self._foreign() for _ in range(self.dice.randint(1, 3))],
        )
        self.brought += [(peer, value) for value in values]
        await self.scene.receive(peer, *values)

    async def take_back(self) -> None:
        if not self.brought:
            return
        peer, value = self.dice.choice(self.brought)
        self.scene.later()
        async with self.scene.store.writing() as tx:
            party = await parties.party_by_name(tx, peer)
            said = [(value["id"], make_object(value).sha256)]
            now = self.scene.now
            await withdraw_word(tx, self.scene.configuration, NODE, said, party, f"{peer}-collection", now=now)

    async def make(self) -> None:
        self.scene.later()
        means = {"means": ["wiper"]} if self.dice.random() < 0.3 else {}
        incident = self.scene.incident(
            name := self.dice.choice("AB"), tlp=self.dice.choice(["green", "red"]), **means
        )
        victim = make_object(identity_of(f"Victim {name}", NODE.identity))
        tie = make_object(relationship(incident.id, victim.id, NODE.identity))
        company = [(incident, "incident"), (victim, "victim"), (tie, "relationship")]
        if self.dice.random() < 0.5:
            company.append((make_object(ADDRESS), "observable"))
        self.made.append(incident.id)
        await self.scene.make(*company)

    async def say(self) -> None:
        if self.made:
            id_ = self.dice.choice(self.made)
            if self.dice.random() < 0.6:
                await self.scene.publish(id_, follow=self.dice.random() < 0.4)
            else:
                await self.scene.hold(id_)

    async def step(self) -> str:
        steps = [self.bring] * 4 + [self.take_back] * 2 + [self.make] * 3 + [self.say] * 3 + [self.apply]
        chosen = self.dice.choice(steps)
        await chosen()
        return chosen.__name__

    def _foreign(self) -> dict:
        self.scene.later()
        creator = self.dice.choice(CREATORS)
        match self.dice.randrange(6):
            case 0:
                return creator
            case 1:
                return ADDRESS
            case _:
                tlp = self.dice.choice(["green", "green", "red"])
                value = an_incident(
                    self.scene.clock, creator=creator["id"], id=self.dice.choice(INCIDENTS), tlp=tlp
                )
                return value | ({"x_ref": self.dice.choice(INCIDENTS)} if self.dice.random() < 0.3 else {})


class _Undone(Exception):
    pass


async def _moved_by_judging_again(scene: Scene) -> list[tuple[str, str]]:
    outcomes = []
    try:
        async with scene.store.writing() as tx:
            ids = await objects.all_ids(tx)
            outcomes = await release(tx, scene.configuration, NODE, ids, now=scene.now)
            raise _Undone
    except _Undone:
        return [(one.object_id, one.what) for one in outcomes if one.what in MOVED]


async def _open_references(scene: Scene) -> set[str]:
    seen = await scene.seen("c")
    named = {target for value in seen.values() for _, target in references(value)}
    return {target for target in named - set(seen) if target.partition("--")[0] not in FREE_TYPES}


async def _without_a_source(scene: Scene) -> set[str]:
    async with scene.store.reading() as tx:
        standing = await releases.standing_ids(tx, (await scene.ids(tx))["c"])
        return set(standing) - set(await objects.offered(tx, standing))


@pytest.mark.parametrize("seed", range(STORIES))
async def test_what_stands_is_what_judging_everything_again_would_let_stand(make_database, seed):
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        story = Story(Scene(store), seed)
        await story.begin()
        steps = []
        for _ in range(STEPS):
            steps.append(await story.step())
            assert await _moved_by_judging_again(story.scene) == [], steps
            assert await _open_references(story.scene) == set(), steps
            assert await _without_a_source(story.scene) == set(), steps
    finally:
        await store.close()
