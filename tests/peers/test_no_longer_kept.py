"""What a node no longer keeps its readers keep: they note it, are in step, and hear of it again when it is new."""

from dataclasses import replace

from neighbours import QUICK
from tocsin.peers.take import PRUNED
from tocsin.sharing.apply import in_force
from tocsin.sharing.release import prune, release, sit

NOW = replace(QUICK, compare_after=0)


async def in_step(node):
    report = await node.pull("alpha", terms=NOW)
    assert (report.state, report.error, report.comparison.difference) == ("in step", "", None)


async def no_longer_kept(node, *ids):
    async with node.store.writing() as tx:
        (court,) = await sit(tx, await in_force(tx), node.node)
        return {one.object_id for one in await prune(tx, court, ids, await tx.now()) if one.what == "pruned"}


async def test_a_reader_of_the_feed_keeps_what_was_pruned_and_both_are_in_step(pair_on_each):
    alpha, beta = pair_on_each
    first, second = alpha.incident("one"), alpha.incident("two")
    await alpha.make(first, second)
    await in_step(beta)
    assert await no_longer_kept(alpha, first["id"]) == {first["id"]}
    await in_step(beta)
    assert PRUNED in {row.reason for row in await beta.ledger("alpha")}
    assert await beta.newest(first["id"]) == first
    async with alpha.store.writing() as tx:
        await release(tx, await in_force(tx), alpha.node, [first["id"], second["id"]], now=await tx.now())
    assert [row.op for row in await alpha.log("regional") if row.object_id == first["id"]] == ["prune"]
    await in_step(beta)
    newer = alpha.incident("one", x_more="a new version")
    await alpha.make(newer)
    await in_step(beta)
    assert await beta.newest(first["id"]) == newer
