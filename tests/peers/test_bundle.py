"""An exchange by files comes to the same as one by the network."""

import hashlib
import io
import json
import uuid

import pytest

from tocsin.errors import BadFile, NotFound, Refused
from tocsin.peers import bundle
from tocsin.sharing.apply import in_force
from tocsin.sharing.withdraw import withdraw
from tocsin.store import acknowledgements, parties, releases
from tocsin.taxii.query import read_position


async def out(node, file, after=0, name="beta", key="regional"):
    async with node.store.reading() as tx:
        configuration = await in_force(tx)
    with file.open("wb") as stream:
        return await bundle.write_bundle(node.store, configuration, node.node, name, key, after, stream)


async def into(node, file, name="alpha"):
    async with node.store.reading() as tx:
        configuration = await in_force(tx)
    return await bundle.read_bundle(node.store, configuration, node.node, name, file)


async def back(node, file, name="alpha"):
    with file.open("wb") as stream:
        return await bundle.write_answer(node.store, node.node, name, stream)


async def answer(node, file, name="beta"):
    async with node.store.reading() as tx:
        configuration = await in_force(tx)
    return await bundle.read_answer(node.store, configuration, name, file)


async def take_back(node, *ids):
    async with node.store.writing() as tx:
        await withdraw(tx, await in_force(tx), node.node, ids, reason="x", by="o", now=await tx.now())


async def test_a_bundle_brings_what_the_network_would_and_both_can_be_mixed(pair_on_each, tmp_path):
    alpha, beta = pair_on_each
    ids = await alpha.make_many(1200)
    written = await out(alpha, tmp_path / "one")
    tally = await into(beta, tmp_path / "one")
    assert tally.stored + tally.duplicate == written.entries >= 1200
    assert await beta.holds() >= await alpha.shows()
    assert (await beta.pull("alpha")).state == "in step"
    await alpha.make_many(3, "more")
    await take_back(alpha, ids[0])
    again = await out(alpha, tmp_path / "two", after=_micros(written.position))
    assert again.entries == 4
    tally = await into(beta, tmp_path / "two")
    assert (tally.stored, tally.withdrawn) == (3, 1)
    assert await beta.holds() >= await alpha.shows()
    report = await beta.pull("alpha")
    assert (report.state, report.tally.stored) == ("in step", 0)


def _micros(position):
    return read_position(position, "position")


async def test_the_same_bundle_twice_changes_nothing(pair, tmp_path):
    alpha, beta = pair
    await alpha.make_many(3)
    await out(alpha, tmp_path / "one")
    await into(beta, tmp_path / "one")
    held, ledger = await beta.holds(), await beta.ledger("alpha")
    await into(beta, tmp_path / "one")
    assert (await beta.holds(), await beta.ledger("alpha")) == (held, ledger)


async def test_a_bundle_that_begins_after_where_we_stand_is_refused_and_says_from_where(pair, tmp_path):
    alpha, beta = pair
    await alpha.make_many(3)
    first = await out(alpha, tmp_path / "one")
    await alpha.make_many(3, "more")
    second = await out(alpha, tmp_path / "two", after=_micros(first.position))
    with pytest.raises(Refused, match="from its start"):
        await into(beta, tmp_path / "two")
    await into(beta, tmp_path / "one")
    await alpha.make_many(3, "even more")
    await out(alpha, tmp_path / "three", after=_micros(second.position))
    with pytest.raises(Refused, match=f"--after {first.position}"):
        await into(beta, tmp_path / "three")
    await into(beta, tmp_path / "two")
    await into(beta, tmp_path / "three")
    assert await beta.holds() >= await alpha.shows()


async def test_what_was_done_with_a_withdrawal_goes_back_as_a_file(pair, tmp_path):
    alpha, beta = pair
    (one, _) = await alpha.make_many(2)
    first = await out(alpha, tmp_path / "one")
    await into(beta, tmp_path / "one")
    await take_back(alpha, one)
    await out(alpha, tmp_path / "two", after=_micros(first.position))
    await into(beta, tmp_path / "two")
    assert await back(beta, tmp_path / "answer") == 1
    assert await answer(alpha, tmp_path / "answer") == (1, 0)
    assert await answer(alpha, tmp_path / "answer") == (1, 0)  # once more, and nothing changes
    async with alpha.store.reading() as tx:
        party = await parties.party_by_name(tx, "beta")
        (row,) = await releases.collections(tx)
        (said,) = (await acknowledgements.acknowledgements(tx, row.id)).values()
    assert (said.party_id, said.object_id, said.outcome) == (party.id, one, "purged")


async def test_a_bundle_of_another_node_or_of_what_is_not_pulled_is_refused(pair, tmp_path):
    alpha, beta = pair
    await alpha.make_many(1)
    await out(alpha, tmp_path / "one")
    await into(beta, tmp_path / "one")
    lines = (tmp_path / "one").read_bytes().splitlines()
    head = json.loads(lines[0])
    _write(tmp_path / "strange", [json.dumps(head | {"node": f"identity--{uuid.uuid4()}"})])
    with pytest.raises(Refused, match="speaks for"):
        await into(beta, tmp_path / "strange")
    other = {"id": "3f0c4d5e-1111-4111-8111-111111111111", "alias": "other", "title": "Other"}
    _write(tmp_path / "other", [json.dumps(head | {"collection": other})])
    with pytest.raises(Refused, match="is not pulled"):
        await into(beta, tmp_path / "other")
    with pytest.raises(NotFound):
        await out(alpha, tmp_path / "none", name="nobody")


def _write(file, lines):
    raw = b"".join(line.encode() + b"\n" for line in lines)
    file.write_bytes(raw + json.dumps({"end": True, "sha256": hashlib.sha256(raw).hexdigest()}).encode() + b"\n")


async def test_a_file_that_was_cut_off_or_changed_is_refused_as_a_whole(pair, tmp_path):
    alpha, beta = pair
    await alpha.make_many(5)
    await out(alpha, tmp_path / "one")
    raw = (tmp_path / "one").read_bytes()
    for damaged in (raw[:-90], raw[: len(raw) // 2], b"", raw.replace(b"data-attack", b"data-attacc", 1), b"{}\n"):
        (tmp_path / "bad").write_bytes(damaged)
        with pytest.raises(BadFile, match="bad:"):
            await into(beta, tmp_path / "bad")
    with pytest.raises(BadFile, match="cannot be read"):
        await into(beta, tmp_path / "absent")
    assert await beta.holds("alpha") == set()


async def test_an_object_that_is_no_good_is_in_the_ledger_and_its_neighbours_come_in(pair, tmp_path):
    alpha, beta = pair
    await alpha.make_many(2)
    await out(alpha, tmp_path / "one")
    lines = (tmp_path / "one").read_text().splitlines()[:-1]
    page = json.loads(lines[1])
    page["entries"][-1]["object"]["name"] = "changed"
    _write(tmp_path / "bad", [lines[0], json.dumps(page)])
    tally = await into(beta, tmp_path / "bad")
    assert tally.refused == 1
    assert tally.stored + tally.duplicate == len(page["entries"]) - 1


async def test_nothing_is_written_but_what_the_reader_may_see(pair, tmp_path):
    alpha, _ = pair
    await alpha.make(alpha.incident("secret", tlp="red", text="canary-of-the-red-one"))
    stream = io.BytesIO()
    async with alpha.store.reading() as tx:
        configuration = await in_force(tx)
    await bundle.write_bundle(alpha.store, configuration, alpha.node, "beta", "regional", 0, stream)
    assert b"canary" not in stream.getvalue()
