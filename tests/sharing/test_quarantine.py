"""A person's word on what a peer could not simply claim: let in by the same door, once, never over ours."""

import pytest

from offering import ledger, numbers, offer, refuse, release
from scene import ALLOW_ANY, NODE, START, an_incident, identity_of
from tocsin.stix.objects import make_object
from tocsin.store import objects, parties
from tocsin.store.tables import ledger as ledger_table

INBOX = {"inbox": {"readers": ["acme"], "clearance": "amber", "release": "automatic"}}
GAMMA = identity_of("gamma")
ID = "incident--7d1fbc1e-0f5c-4c64-9d0a-0a4d1a2b3c4d"


@pytest.fixture
async def inbox(scene):
    await scene.apply(INBOX, {"inbox": ALLOW_ANY})
    async with scene.store.writing() as tx:
        await parties.pin_identity(tx, (await parties.party_by_name(tx, "gamma")).id, GAMMA["id"])
    assert await offer(scene, "gamma", GAMMA) == ["stored"]
    return scene


def gammas(**more):
    return an_incident(START, creator=GAMMA["id"], id=ID, **more)


async def held(scene, id_=ID) -> dict[str, list[tuple[str, bool]]]:
    """By hash: the word of each live source, and whether it is authentic."""
    async with scene.store.reading() as tx:
        found = (await objects.offered(tx, [id_])).get(id_, [])
    return {one.sha256: [(s.word, s.authentic) for s in one.sources] for one in found}


async def test_another_content_of_a_version_is_let_in_as_asserted_and_what_is_authentic_stays(inbox):
    first, other = gammas(), gammas(means=["ddos"])
    assert await offer(inbox, "gamma", first) == ["stored"]
    assert await offer(inbox, "gamma", other) == ["quarantined"]
    (number,) = await numbers(inbox)
    (judged,) = await release(inbox, number)
    assert (judged.judgement, judged.object_id) == ("released", ID)
    assert await held(inbox) == {
        make_object(first).sha256: [("put", True)],
        make_object(other).sha256: [("put", False)],
    }
    assert (await inbox.seen("inbox"))[ID] == first
    row = (await ledger(inbox))[-1]
    assert (row.outcome, row.content) == ("stored", None)
    assert row.reason.startswith("let in by mari: the same source gave other content")
    assert await numbers(inbox) == []


async def test_an_entry_is_judged_once_whatever_is_said_after(inbox):
    await offer(inbox, "gamma", gammas())
    await offer(inbox, "gamma", gammas(means=["ddos"]), gammas(means=["wiper"]))
    one, two = await numbers(inbox)
    assert [j.judgement for j in await release(inbox, one, one)] == ["released"]
    assert [j.judgement for j in await refuse(inbox, two)] == ["refused"]
    before = await ledger(inbox)
    for again in (release, refuse):
        first, second, third = await again(inbox, one, two, 999)
        assert (first.judgement, second.judgement, third.judgement) == ("ended before", "ended before", "unknown")
        assert first.reason.startswith("stored: let in by mari")
        assert second.reason.startswith("refused: refused by mari")
    assert await ledger(inbox) == before
    assert (await ledger(inbox))[-1].content is None


async def test_nobody_can_let_in_what_claims_to_be_ours(inbox):
    ours = inbox.incident()
    await inbox.make((ours, "incident"))
    forged = an_incident(START, id=ours.id, creator=GAMMA["id"], means=["wiper"])
    spoken = an_incident(START, id=ID, creator=NODE.identity)
    assert await offer(inbox, "gamma", forged, spoken) == ["quarantined", "quarantined"]
    judged = await release(inbox, *await numbers(inbox))
    assert [one.judgement for one in judged] == ["kept", "kept"]
    assert "this id is ours" in judged[0].reason
    assert "in the name of this node" in judged[1].reason
    assert len(await numbers(inbox)) == 2
    assert list(await held(inbox, ours.id)) == [ours.sha256]
    assert await held(inbox) == {}
    assert (await inbox.seen("inbox"))[ours.id] == dict(ours.value)


async def test_another_creator_is_let_in_as_the_word_of_its_bringer_alone(inbox):
    await offer(inbox, "gamma", gammas())
    changed = an_incident(inbox.clock, creator=identity_of("beta")["id"], id=ID)
    assert await offer(inbox, "beta", identity_of("beta"), changed) == ["stored", "quarantined"]
    assert [one.judgement for one in await release(inbox, *await numbers(inbox))] == ["released"]
    assert (await held(inbox))[make_object(changed).sha256] == [("put", False)]
    assert (await inbox.seen("inbox"))[ID] == gammas()  # its creator's own word is heard


async def test_what_no_longer_can_be_read_stays_and_can_be_refused(inbox):
    await offer(inbox, "gamma", gammas())
    await offer(inbox, "gamma", gammas(means=["ddos"]))
    (number,) = await numbers(inbox)
    async with inbox.store.writing() as tx:  # as if it had been kept under wider limits, and is cut
        await tx.connection.execute(
            ledger_table.update().where(ledger_table.c.seq == number).values(content=b'{"type":')
        )
    (judged,) = await release(inbox, number)
    assert judged.judgement == "kept"
    assert await numbers(inbox) == [number]
    assert [one.judgement for one in await refuse(inbox, number)] == ["refused"]


async def test_many_of_several_peers_are_judged_together_in_the_order_in_which_they_came(inbox):
    for peer in ("gamma", "beta", "gamma"):
        mine = [an_incident(START, str(n), creator=GAMMA["id"], id=f"{ID[:-2]}{n}0", means=[means])
                for n in range(3) for means in ("ddos", "wiper")]  # fmt: skip
        await offer(inbox, peer, *mine)
    waiting = await numbers(inbox)
    assert len(waiting) >= 6
    judged = await release(inbox, *reversed(waiting))
    assert [one.number for one in judged] == waiting[::-1]
    assert {one.judgement for one in judged} == {"released"}
    assert await numbers(inbox) == []
