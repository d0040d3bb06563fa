"""After whatever happened between three to five nodes, each holds exactly what a permitted path leads to it.

Scenarios are drawn from a seed: topologies with cycles and one-way links, links that are silent for long, pulls
that are cut off half way, new versions, withdrawals at the source and by relays, re-releases and revocations,
clocks off by a day. What should be where is found by walking the links, not by asking the nodes.
`TOCSIN_TEST_SCENARIOS` asks for more of them.
"""

import asyncio
import contextlib
import random
from contextlib import AsyncExitStack

import pytest

from extent import dice_for, extent
from neighbours import QUICK, a_peer, introduce, listening, neighbour
from tocsin.sharing.apply import in_force
from tocsin.sharing.publish import publish
from tocsin.sharing.withdraw import revoke, withdraw

SCENARIOS = extent("scenarios", ordinary=3, full=500)
STEPS = 14
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
DAY = 86_400_000_000


class World:
    """Some nodes, who reads from whom, and what each node's people said of what they made or hold."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.names = NAMES[: dice.randint(3, 5)]
        self.links = {  # reader → those he reads from
            name: sorted(dice.sample(others, dice.randint(0, len(others))))
            for name in self.names
            if (others := [other for other in self.names if other != name])
        }
        self.hops = {name: dice.choice([1, 2, 3, 3]) for name in self.names}
        self.skew = {name: dice.choice([0, 0, DAY, -DAY]) for name in self.names}
        self.nodes = {}
        self.made: dict[str, str] = {}  # id → who made it
        self.away: set[tuple[str, str]] = set()  # (node, id): taken back there by hand
        self.revoked: set[str] = set()
        self.count = 0

    @contextlib.asynccontextmanager
    async def running(self, tmp_path, make_database):
        async with AsyncExitStack() as stack:
            for name in self.names:
                node = await stack.enter_async_context(
                    neighbour(name, tmp_path / name, make_database("sqlite"), skew=self.skew[name])
                )
                self.nodes[name] = node
            for name in self.names:
                readers = [reader for reader, others in self.links.items() if name in others]
                known = sorted({*readers, *self.links[name]})
                await self.nodes[name].apply(
                    {
                        "node": {"name": name, "max_hops": self.hops[name]},
                        "peers": {
                            other: a_peer(self.nodes[other].url, *(["all"] if other in self.links[name] else []))
                            for other in known
                        },
                        "collections": {"all": {"readers": readers}},
                    }
                )
            for reader, others in self.links.items():
                for other in others:
                    await introduce(self.nodes[reader], self.nodes[other], other, reader)
            for name in self.names:
                await stack.enter_async_context(listening(self.nodes[name]))
            yield self

    # --- what happens ------------------------------------------------------------------------------------

    async def step(self) -> None:
        await self.dice.choice(
            [
                self.make,
                self.make,
                self.renew,
                self.take_back,
                self.give_again,
                self.end,
                *[self.read] * 6,
                self.cut,
            ]
        )()

    async def make(self) -> None:
        name = self.dice.choice(self.names)
        self.count += 1
        value = self.nodes[name].incident(f"one {self.count}")
        await self.nodes[name].make(value)
        self.made[value["id"]] = name

    async def renew(self) -> None:
        if id_ := self._any(lambda id_: id_ not in self.revoked):
            name = self.made[id_]
            self.count += 1
            before = await self.nodes[name].newest(id_)
            await self.nodes[name].make({**before, "modified": self._later(name), "name": f"new {self.count}"})

    def _later(self, name: str) -> str:
        return self.nodes[name].incident("later")["modified"]

    async def take_back(self) -> None:
        """By whoever made it, or by a node that passes it on."""
        if id_ := self._any(lambda id_: id_ not in self.revoked):
            holders = [name for name in self.names if await self.nodes[name].newest(id_)]
            name = self.dice.choice(holders)
            async with self.nodes[name].store.writing() as tx:
                await withdraw(
                    tx, await in_force(tx), self.nodes[name].node, [id_], reason="x", by="o", now=await tx.now()
                )
            self.away.add((name, id_))

    async def give_again(self) -> None:
        if self.away:
            name, id_ = self.dice.choice(sorted(self.away))
            if id_ in self.revoked:
                return
            async with self.nodes[name].store.writing() as tx:
                await publish(tx, await in_force(tx), self.nodes[name].node, [id_], now=await tx.now())
            self.away.discard((name, id_))

    async def end(self) -> None:
        if self.dice.random() < 0.3 and (
            id_ := self._any(lambda id_: id_ not in self.revoked and (self.made[id_], id_) not in self.away)
        ):
            name = self.made[id_]
            async with self.nodes[name].store.writing() as tx:
                await revoke(
                    tx, await in_force(tx), self.nodes[name].node, [id_], reason="x", by="o", now=await tx.now()
                )
            self.revoked.add(id_)

    async def read(self) -> None:
        if links := [(reader, other) for reader, others in self.links.items() for other in others]:
            await self._pull(*self.dice.choice(links))

    async def cut(self) -> None:
        """A pull that ends in the middle, whatever it is at."""
        if links := [(reader, other) for reader, others in self.links.items() for other in others]:
            task = asyncio.create_task(self._pull(*self.dice.choice(links)))
            await asyncio.sleep(self.dice.random() * 0.03)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _pull(self, reader: str, other: str) -> None:
        report = await self.nodes[reader].pull(other, "all", terms=QUICK)
        assert report.state in ("in step", "unfinished"), (reader, other, report.error)

    def _any(self, fits) -> str | None:
        fitting = [id_ for id_ in self.made if fits(id_)]
        return self.dice.choice(fitting) if fitting else None

    async def heal(self) -> None:
        """As many rounds as the longest path, and as promised beyond."""
        for _ in range(len(self.names) + max(self.hops.values()) + 2):
            for reader, others in self.links.items():
                for other in others:
                    await self._pull(reader, other)

    # --- what should be where ------------------------------------------------------------------------------

    def holders(self, id_: str) -> set[str]:
        """Everybody to whom a path leads over nodes that offer it: none took it back, and it is not too far."""
        maker = self.made[id_]
        distance = {maker: 0}
        wave = [maker]
        while wave:
            following = []
            for name in wave:
                if (name, id_) in self.away or distance[name] > self.hops[name]:
                    continue
                for reader, others in self.links.items():
                    if name in others and reader not in distance:
                        distance[reader] = distance[name] + 1
                        following.append(reader)
            wave = following
        return set(distance)


@pytest.mark.parametrize("number", range(SCENARIOS))
async def test_each_node_ends_with_what_a_permitted_path_leads_to_it(tmp_path, make_database, number):
    world = World(dice_for(f"convergence {number}"))
    async with world.running(tmp_path, make_database):
        for _ in range(STEPS):
            await world.step()
        await world.heal()
        what = f"scenario {number}: links {world.links}, hops {world.hops}, away {sorted(world.away)}"
        for id_, maker in world.made.items():
            newest = await world.nodes[maker].newest(id_)
            expected = world.holders(id_)
            for name in world.names:
                found = await world.nodes[name].newest(id_)
                if name in expected and newest.get("revoked") is not True:
                    assert found == newest, f"{what}: {name} lacks {id_} of {maker}"
                elif name in expected:
                    assert found is None or found["revoked"] is True, f"{what}: {name} has {id_} as valid"
                else:
                    assert found is None, f"{what}: {name} has {id_} of {maker}, and no path leads there"
        before = {name: await world.nodes[name].holds() for name in world.names}
        logs = {name: len(await world.nodes[name].log("all")) for name in world.names}
        await world.heal()
        assert before == {name: await world.nodes[name].holds() for name in world.names}, f"{what}: no rest"
        assert logs == {name: len(await world.nodes[name].log("all")) for name in world.names}, f"{what}: no rest"
