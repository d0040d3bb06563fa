"""Rings and meshes of nodes that pass on everything: whatever happens, it comes to rest, the same everywhere."""

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from neighbours import EFFECTS_ALONE, QUICK, a_peer, introduce, listening, neighbour
from tocsin.store import objects

NOW = replace(QUICK, compare_after=0)  # compare with every pull
MAX_HOPS = 3

# who reads from whom
RING = {"beta": ["alpha"], "gamma": ["beta"], "alpha": ["gamma"]}
LONG_RING = {"beta": ["alpha"], "gamma": ["beta"], "delta": ["gamma"], "alpha": ["delta"]}
MESH = {
    "alpha": ["beta", "gamma"],
    "beta": ["alpha", "gamma"],
    "gamma": ["alpha", "beta"],
}
DIAMOND = {"beta": ["alpha"], "gamma": ["alpha"], "delta": ["beta", "gamma"]}
SHAPES = {"ring": RING, "long ring": LONG_RING, "mesh": MESH, "diamond": DIAMOND}


class Federation:
    """Nodes by name. Each offers `all` that it holds to those that read from it."""

    def __init__(self, nodes, reads) -> None:
        self.nodes = nodes
        self.reads = reads

    def __getitem__(self, name):
        return self.nodes[name]

    async def cycle(self) -> None:
        """Everybody reads once from everybody he reads from, in step with all of it."""
        for reader, others in self.reads.items():
            for other in others:
                report = await self[reader].pull(other, "all", terms=NOW)
                assert (report.state, report.error) == ("in step", "")
                assert report.comparison.difference is None

    async def state(self):
        """Everything that was ever noted: logs and ledgers, so that what circulates would show."""
        logs = {name: [tuple(row[:-1]) for row in await node.log("all")] for name, node in self.nodes.items()}
        ledgers = {
            (reader, other): [
                (row.position, row.object_id, row.sha256) for row in await self[reader].ledger(other)
            ]
            for reader, others in self.reads.items()
            for other in others
        }
        return logs, ledgers

    async def rest(self) -> int:
        """Read on until nothing changes any more; after how many cycles."""
        for number in range(12):
            before = await self.state()
            await self.cycle()
            if await self.state() == before:
                return number
        raise AssertionError("it does not come to rest")

    async def holders(self, id_: str) -> dict[str, int]:
        """The versions of an object that each node holds."""
        found = {}
        for name, node in self.nodes.items():
            async with node.store.reading() as tx:
                held = (await objects.offered(tx, [id_])).get(id_, [])
            if held:
                found[name] = len(held)
        return found


@asynccontextmanager
async def federation(reads, tmp_path, make_database):
    names = sorted({*reads, *(other for others in reads.values() for other in others)})
    async with AsyncExitStack() as stack:
        nodes = {
            name: await stack.enter_async_context(
                neighbour(name.title(), tmp_path / name, make_database("sqlite"))
            )
            for name in names
        }
        for name, node in nodes.items():
            readers = [reader for reader, others in reads.items() if name in others]
            read = {other: a_peer(nodes[other].url, "all") for other in reads.get(name, [])}
            unread = {reader: a_peer(nodes[reader].url) for reader in readers if reader not in read}
            await node.apply(
                {"peers": {**read, **unread}, "collections": {"all": {"readers": readers}}}, all=EFFECTS_ALONE
            )
        for reader, others in reads.items():
            for other in others:
                await introduce(nodes[reader], nodes[other], other, reader)
        for node in nodes.values():
            await stack.enter_async_context(listening(node))
        yield Federation(nodes, reads)


@pytest.mark.parametrize("shape", list(SHAPES))
async def test_whatever_happens_to_an_object_comes_to_rest_the_same_everywhere(tmp_path, make_database, shape):
    async with federation(SHAPES[shape], tmp_path, make_database) as nodes:
        alpha = nodes["alpha"]
        everybody = set(nodes.nodes)
        others = dict.fromkeys(everybody, 1)
        first, second = alpha.incident("first"), alpha.incident("second")
        await alpha.make(first, second)
        assert await nodes.rest() <= MAX_HOPS + 2
        assert await nodes.holders(first["id"]) == others
        # a new version
        await alpha.make(alpha.incident("first", x_note="more"))
        assert await nodes.rest() <= MAX_HOPS + 2
        assert set(await nodes.holders(first["id"])) == everybody
        newest = [(await node.newest(first["id"]))["x_note"] for node in nodes.nodes.values()]
        assert newest == ["more"] * len(newest)
        # taken back
        await alpha.make(alpha.incident("first", stage="near-miss"))
        await nodes.rest()
        assert set(await nodes.holders(first["id"])) == {"alpha"}
        assert set(await nodes.holders(second["id"])) == everybody
        # and released again
        again = alpha.incident("first", x_note="again")
        await alpha.make(again)
        assert await nodes.rest() <= MAX_HOPS + 2
        assert set(await nodes.holders(first["id"])) == everybody
        for node in nodes.nodes.values():
            assert await node.newest(first["id"]) == again
        # what another makes goes round as well
        await nodes["gamma"].make(nodes["gamma"].incident("of gamma"))
        await nodes.rest()
        # revoked for good
        await alpha.make(alpha.incident("second", revoked=True))
        assert await nodes.rest() <= MAX_HOPS + 2
        for node in nodes.nodes.values():
            assert (await node.newest(second["id"]))["revoked"] is True


async def test_nobody_fetches_again_what_he_made_or_holds(tmp_path, make_database):
    """In a ring the names of everything come round; its bytes go over each link once, and never home."""
    async with federation(RING, tmp_path, make_database) as nodes:
        alpha = nodes["alpha"]
        values = [alpha.incident(str(number), x_note="x" * 5000) for number in range(30)]
        await alpha.make(*values)
        sizes = {}
        for reader, (other,) in RING.items():
            sizes[reader] = (await nodes[reader].pull(other, "all")).tally.size
        content = sum(len(str(value)) for value in values)
        assert content < sizes["beta"] < 1.5 * content
        assert content < sizes["gamma"] < 1.5 * content
        assert sizes["alpha"] < 0.2 * content
        assert not any(
            row.outcome != "duplicate"
            for row in await alpha.ledger("gamma")
            if row.object_id.startswith("incident--")
        )
