"""What a peer offers, taken in with its ledger, for tests of quarantine and distrust."""

from collections.abc import Mapping
from typing import Any

from scene import NODE, Scene
from tocsin.intake import quarantine as judging
from tocsin.intake.distrust import Distrusted, distrust
from tocsin.intake.quarantine import Judged
from tocsin.stix.objects import make_object
from tocsin.store import parties, peers, quarantine
from tocsin.store.peers import LedgerRow


async def offer(scene: Scene, peer: str, *values: Mapping[str, Any], hops: int = 0) -> list[str]:
    """Take in what a peer offers and note it in the ledger, as a pull does; what became of each."""
    raws = [make_object(value).raw for value in values]
    received = await scene.receive(peer, *raws, hops=hops)
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, peer)
        rows = [
            LedgerRow(
                party_id=party.id,
                collection_id=f"{peer}-collection",
                position=f"{scene.now}-{place}",
                object_id=item.id,
                version=item.version,
                sha256=item.sha256,
                outcome=item.outcome,
                reason=item.reason,
                at=scene.now,
                content=raw if item.outcome == "quarantined" else None,
            )
            for place, (item, raw) in enumerate(zip(received, raws, strict=True))
        ]
        assert await peers.add_ledger(tx, rows) == len(rows)
    return [item.outcome for item in received]


async def ledger(scene: Scene, peer: str = "gamma") -> list[LedgerRow]:
    """Oldest first."""
    async with scene.store.reading() as tx:
        party = await parties.party_by_name(tx, peer)
        return (await peers.ledger_rows(tx, party.id, limit=10_000))[::-1]


async def numbers(scene: Scene) -> list[int]:
    """What waits in quarantine."""
    async with scene.store.reading() as tx:
        return [row.seq for row in await quarantine.waiting(tx)]


async def release(scene: Scene, *given: int) -> list[Judged]:
    scene.later()
    async with scene.store.writing() as tx:
        return await judging.release(tx, scene.configuration, NODE, given, by="mari", now=scene.now)


async def refuse(scene: Scene, *given: int) -> list[Judged]:
    scene.later()
    async with scene.store.writing() as tx:
        return await judging.refuse(tx, given, by="mari", now=scene.now)


async def distrust_since(scene: Scene, peer: str, since: int) -> Distrusted:
    scene.later()
    async with scene.store.writing() as tx:
        party = await parties.party_by_name(tx, peer)
        return await distrust(
            tx, scene.configuration, NODE, party, since, reason="not trusted", by="mari", now=scene.now
        )


async def resume(scene: Scene, peer: str) -> None:
    async with scene.store.writing() as tx:
        await parties.set_suspended(tx, (await parties.party_by_name(tx, peer)).id, suspended=False)
