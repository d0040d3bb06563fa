"""In step with a node: nothing is fetched twice, no gap is skipped, and whether both hold the same is known."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import make_url

from neighbours import EFFECTS_ALONE, QUICK, START, a_peer, alpha_and_beta, an_incident, neighbour
from tocsin.intake.receive import COME_BACK, remote, withdraw_word
from tocsin.peers import feed, pull
from tocsin.peers.pull import Budget
from tocsin.peers.status import peer_status
from tocsin.peers.take import GONE, PRUNED, UNTOLD
from tocsin.sharing.apply import in_force
from tocsin.stix.objects import keyed_id, make_object
from tocsin.store import audit, objects, parties, peers, releases
from tocsin.store.digest import Sum
from tocsin.store.releases import Entry
from zoo import FOLDER, JSON, ZOO, Liar, a_node, animal, at, http

NOW = replace(QUICK, compare_after=0)  # compare with every pull


@pytest.fixture
def fetched(monkeypatch):
    """Every question for contents: the positions that it named, and the bytes of its answer."""
    asked = []
    real = feed.fetch_contents

    async def counted(client, collection, positions, **more):
        page = await real(client, collection, positions, **more)
        asked.append((len(positions), page.size))
        return page

    monkeypatch.setattr(feed, "fetch_contents", counted)
    return asked


async def words_of(node, peer="alpha"):
    async with node.store.reading() as tx:
        return (await peer_status(tx, await in_force(tx), peer)).words


# --- contents of what is not held -----------------------------------------------------------------------------


async def test_what_is_new_is_fetched_once(pair_on_each, fetched):
    alpha, beta = pair_on_each
    await alpha.make_many(10)
    await beta.pull("alpha")
    assert [number for number, _ in fetched] == [11]  # with who made them; markings and definitions are known
    fetched.clear()
    await beta.pull("alpha")
    await alpha.make(alpha.incident("many 3"))
    await beta.pull("alpha")
    assert [number for number, _ in fetched] == [1]


async def test_bytes_cross_a_diamond_once(chain, fetched):
    """Beta reads from alpha, and from gamma, which passes on what alpha made."""
    alpha, gamma, beta = chain
    await alpha.make_many(20)
    await gamma.pull("alpha")
    first = (await beta.pull("alpha")).tally
    once = sum(size for _, size in fetched)
    second = (await beta.pull("gamma", "passed-on")).tally
    brought = {version for _, _, version in await alpha.shows()}
    assert second.stored + second.duplicate >= len(brought)  # each has its row in the ledger all the same
    both = await beta.holds("alpha") & await beta.holds("gamma")
    assert len(both) >= 20
    # what gamma made itself (who it is) is all that is fetched of it
    assert [number for number, _ in fetched[2:]] == [1]
    assert second.size < first.size / 3
    assert sum(size for _, size in fetched) < once + 2000


async def test_what_goes_between_its_name_and_its_content_is_noted_and_its_withdrawal_follows(pair, monkeypatch):
    alpha, beta = pair
    incidents = [alpha.incident(str(number)) for number in range(3)]
    await alpha.make(*incidents)
    real = feed.fetch_contents
    withdrawn = []

    async def interrupted(client, collection, positions, **more):
        if not withdrawn:
            withdrawn.append(await alpha.make(alpha.incident("1", stage="near-miss")))
        return await real(client, collection, positions, **more)

    monkeypatch.setattr(feed, "fetch_contents", interrupted)
    await alpha.apply(
        {"peers": {"beta": a_peer(beta.url)}, "collections": {"regional": {"readers": ["beta"]}}},
        regional=EFFECTS_ALONE,
    )
    report = await beta.pull("alpha")
    assert (report.state, report.error) == ("in step", "")
    gone = [row for row in await beta.ledger("alpha") if row.reason == GONE]
    assert [row.object_id for row in gone] == [incidents[1]["id"]]
    assert {id_ for id_, _, _ in await beta.holds("alpha")} >= {incidents[0]["id"], incidents[2]["id"]}
    # it is compared, so it is read on first
    assert (report.tally.withdrawn, report.comparison.difference) == (1, None)
    assert await beta.newest(incidents[1]["id"]) is None


class Namer(Liar):
    """A node that names its entries, gives contents apart, and says what of them a test wants."""

    def __init__(self, zoo) -> None:
        super().__init__(zoo)
        self.contents = {}
        self.epoch = "one"
        zoo.answers |= a_node(ZOO, log=["names"])
        zoo.answers[f"{FOLDER}changes/"] = self.answer
        zoo.answers[f"{FOLDER}changes/content/"] = self.content

    def says(self, value, op="put", **more) -> None:
        super().says(value, op, **more)
        entry = self.entries[-1]
        head, _, _ = entry.partition(b', "object": ')
        self.contents[at(len(self.entries))] = entry
        self.entries[-1] = head if head == entry else head + b"}"

    async def content(self, asked, writer) -> None:
        found = [self.contents[one] for one in asked.query["at"][0].split(",") if one in self.contents]
        writer.write(http(200, b'{"more":false,"entries":[' + b",".join(found) + b"]}", JSON))


@pytest_asyncio.fixture
async def beta(tmp_path, make_database):
    async with neighbour("Beta", tmp_path / "beta", make_database("sqlite")) as node:
        yield node


@pytest_asyncio.fixture
async def namer(beta):
    async with animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        beta.home.write_secret("peers/zoo", "w0rd")
        yield Namer(zoo)


def of_zoo(name: str = "one", **more):
    return an_incident(keyed_id(b"zoo", "incident", name), ZOO, START, **more)


async def test_a_content_that_is_not_what_was_named_is_refused_and_its_neighbours_get_in(beta, namer):
    for name in ("before", "other content", "other object", "unreadable", "missing", "after"):
        namer.says(of_zoo(name))
    namer.contents[at(2)] = namer.contents[at(2)].replace(b'"data-attack"', b'"another name"', 1)
    namer.contents[at(3)] = namer.contents[at(3)].replace(
        make_object(of_zoo("other object")).raw, make_object(of_zoo("before")).raw
    )
    namer.contents[at(4)] = namer.contents[at(4)].replace(b'"hops": 0', b'"hops": NaN', 1)
    del namer.contents[at(5)]
    report = await beta.pull("zoo")
    assert (report.state, report.error) == ("in step", "")
    ledger = await beta.ledger("zoo")
    assert [row.position for row in ledger] == [at(number) for number in range(1, 7)]
    assert [row.outcome for row in ledger] == ["stored", "refused", "refused", "refused", "stored", "stored"]
    assert "SHA-256" in ledger[1].reason
    assert "the entry names" in ledger[2].reason
    assert ledger[4].reason == GONE
    assert {id_ for id_, _, _ in await beta.holds("zoo")} == {of_zoo(name)["id"] for name in ("before", "after")}


@pytest.mark.parametrize(
    "body",
    [b'{"more":true,"entries":[]}', b"[]", b'{"more":false,"entries":[', b"<html>"],
    ids=["more of nothing", "no object", "cut off", "a page"],
)
async def test_contents_that_say_nothing_usable_are_a_failure_and_move_nothing(beta, namer, body):
    namer.says(of_zoo())
    namer.content = None

    async def useless(asked, writer):
        writer.write(http(200, body, JSON))

    async with animal() as zoo:
        other = Namer(zoo)
        other.says(of_zoo())
        zoo.answers[f"{FOLDER}changes/content/"] = useless
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        report = await beta.pull("zoo")
        assert report.state == "failed"
        assert len(zoo.asked) < 10
    assert (await beta.state("zoo")).cursor is None


async def test_what_is_held_is_not_taken_for_what_a_peer_names_otherwise(beta, namer):
    """A hash that names content of ours does not let another object stand under it."""
    ours = beta.incident("ours")
    await beta.make(ours)
    namer.says(of_zoo(), sha256=make_object(ours).sha256)
    namer.says(ours)
    await beta.pull("zoo")
    ends = [(row.outcome, row.reason) for row in await beta.ledger("zoo")]
    assert ends[0][0] == "refused"
    assert ends[1] == ("duplicate", COME_BACK)


# --- gaps -----------------------------------------------------------------------------------------------------


def incidents(versions):
    return {version for version in versions if version[0].startswith("incident--")}


def file_of(node) -> str:
    return make_url(str(node.store._reader.url)).database  # the file itself, as who restores a copy sees it


def copied(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


async def test_a_log_that_began_another_epoch_is_read_again_and_nothing_is_fetched_twice(pair_on_each, fetched):
    alpha, beta = pair_on_each
    await alpha.make_many(12)
    await beta.pull("alpha")
    ledger, held = await beta.ledger("alpha"), await beta.holds("alpha")
    async with alpha.store.writing() as tx:
        epoch = await releases.begin_epoch(tx, await log_of_tx(tx))
    fetched.clear()
    report = await beta.pull("alpha")
    assert (report.state, report.error, report.comparison.difference) == ("in step", "", None)
    assert fetched == []
    assert await beta.ledger("alpha") == ledger
    assert await beta.holds("alpha") == held
    state = await beta.state("alpha")
    assert (state.epoch, state.difference) == (epoch, None)
    async with beta.store.reading() as tx:
        (gap,) = [entry for entry in await audit.entries(tx, "alpha", 100) if entry.event == "gap"]
    assert gap.details["collection"] == "regional"
    await alpha.make(alpha.incident("later"))
    assert (await beta.pull("alpha")).tally.stored == 1


async def log_of_tx(tx, key="regional"):
    return next(row.id for row in await releases.collections(tx) if row.key == key)


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_log_brought_back_from_an_older_copy_is_noticed_and_mended(tmp_path, make_database, goes_on):
    async with alpha_and_beta(tmp_path, make_database) as (alpha, beta):
        kept = [alpha.incident(str(number)) for number in range(3)]
        await alpha.make(*kept)
        copied(file_of(alpha), str(tmp_path / "copy.db"))
        lost = alpha.incident("lost")
        await alpha.make(lost, alpha.incident("1", x_note="a version that is lost"))
        await beta.pull("alpha")
        assert await beta.newest(lost["id"]) == lost
        copied(str(tmp_path / "copy.db"), file_of(alpha))
        new = alpha.incident("new")
        if goes_on:  # beyond the position up to which beta has read
            await alpha.make(new)
        report = await beta.pull("alpha")
        assert (report.state, report.error, report.comparison.difference) == ("in step", "", None)
        assert await beta.newest(lost["id"]) is None
        assert await beta.newest(kept[1]["id"]) == kept[1]
        assert (await beta.newest(new["id"]) == new) is goes_on
        assert {row.object_id for row in await beta.ledger("alpha") if row.reason == UNTOLD} == {
            lost["id"],
            kept[1]["id"],
        }
        assert incidents(await beta.holds("alpha")) == incidents(await alpha.shows())
        await alpha.make(alpha.incident("after"))
        assert (await beta.pull("alpha", terms=NOW)).comparison.difference is None


async def test_while_a_gap_is_not_mended_a_peer_is_not_in_step_and_it_is_told_once(pair, monkeypatch):
    alpha, beta = pair
    await alpha.make_many(3)
    await beta.pull("alpha")
    async with alpha.store.writing() as tx:
        await releases.begin_epoch(tx, await log_of_tx(tx))
    await alpha.make_many(6, "more")
    short = replace(QUICK, budget=Budget(objects=2), page=2)
    monkeypatch.setattr(pull, "AGAIN_PAGE", 2)
    states = []
    while not states or states[-1] == "unfinished":
        states.append((await beta.pull("alpha", terms=short)).state)
        if states[-1] == "unfinished":
            assert (await words_of(beta)).startswith("not in step: alpha's log does not continue what we read")
    assert len(states) > 2
    assert states[-1] == "in step"
    assert await words_of(beta) == "in step"
    assert await beta.holds() >= await alpha.shows()
    async with beta.store.reading() as tx:
        assert [e.event for e in await audit.entries(tx, "alpha", 100)].count("gap") == 1


# --- digests --------------------------------------------------------------------------------------------------


async def compared(node, peer="alpha", wanted="regional"):
    """One pull that compares: how they differ, or None; and that it was found without reading anything again."""
    report = await node.pull(peer, wanted, terms=NOW)
    assert (report.state, report.error) == ("in step", "")
    return report.comparison.difference


async def test_in_step_is_said_once_a_day_and_whenever_it_is_asked(pair, monkeypatch):
    alpha, beta = pair
    await alpha.make_many(3)
    assert (await beta.pull("alpha")).comparison.difference is None  # the first time
    compared_at = (await beta.state("alpha")).compared
    assert (await beta.pull("alpha")).comparison is None
    assert (await beta.state("alpha")).compared == compared_at
    assert await compared(beta) is None
    assert (await beta.state("alpha")).compared > compared_at


@pytest.fixture
def read_again(monkeypatch):
    """How often a log was read again."""
    count = []
    real = pull._Log.read_again

    async def counted(self, cursor):
        count.append(cursor)
        return await real(self, cursor)

    monkeypatch.setattr(pull._Log, "read_again", counted)
    return count


async def test_what_was_withdrawn_replaced_and_put_again_is_in_step(pair_on_each, read_again):
    alpha, beta = pair_on_each
    await alpha.apply(
        {"peers": {"beta": a_peer(beta.url)}, "collections": {"regional": {"readers": ["beta"]}}},
        regional=EFFECTS_ALONE,
    )
    await alpha.make(*(alpha.incident(str(number)) for number in range(4)))
    assert await compared(beta) is None
    await alpha.make(alpha.incident("1", stage="near-miss"), alpha.incident("2"))
    assert await compared(beta) is None
    await alpha.make(alpha.incident("1"))
    assert await compared(beta) is None
    await alpha.make(alpha.incident("1", stage="near-miss"), alpha.incident("3", revoked=True))
    assert await compared(beta) is None
    assert read_again == []


async def test_what_we_refused_quarantined_or_had_ourselves_is_in_step(pair, read_again):
    """Beta's own come back by a detour, one claims beta's id, and one is not valid here."""
    alpha, beta = pair
    ours = beta.incident("ours")
    await beta.make(ours)
    squatted = beta.incident("squatted")
    await beta.make(squatted)
    async with alpha.store.writing() as tx:
        now, entries = await tx.now(), []
        values = [
            ours,
            {**squatted, "modified": "2027-01-01T00:00:00.000Z", "name": "squatter"},
            {**of_zoo("invalid"), "created_by_ref": "nobody"},
            of_zoo("valid"),
        ]
        for value in values:
            version = make_object(value)
            stored = await objects.add_version(tx, version, received=now)
            await objects.set_word(tx, stored.seq, "", "", "put", authentic=False, hops=0, at=now)
            entries.append(
                Entry("put", version.id, version.type, stored.seq, stored.version_key, "whole", 1, ("test",))
            )
        await releases.append(tx, await log_of_tx(tx), entries, "c", now)
    assert await compared(beta) is None
    rows = {row.object_id: row for row in await beta.ledger("alpha")}
    assert (rows[ours["id"]].outcome, rows[ours["id"]].reason) == ("duplicate", COME_BACK)
    assert rows[squatted["id"]].outcome == "quarantined"
    assert rows[of_zoo("invalid")["id"]].outcome == "refused"
    assert rows[of_zoo("valid")["id"]].outcome == "stored"
    assert await compared(beta) is None
    async with alpha.store.writing() as tx:  # what was refused goes again, and so is no exception any more
        gone = [entry._replace(op="withdraw") for entry in entries[:3]]
        await releases.append(tx, await log_of_tx(tx), gone, "c", await tx.now())
    assert await compared(beta) is None
    assert read_again == []


async def test_a_redacted_copy_and_one_of_ours_come_back_are_in_step(chain, read_again):
    alpha, gamma, beta = chain
    await alpha.make(alpha.incident("one"), alpha.incident("two"))
    redact = """
rules:
  - {id: any, match: {origin: any}, then: allow, reason: whatever comes}
  - {id: ours, match: {type: incident}, then: redact, redact: [narrative], reason: no words}
"""
    await gamma.make(gamma.incident("of gamma"))
    settings = {
        "peers": {"beta": a_peer(beta.url, "back"), "alpha": a_peer(alpha.url, "regional")},
        "collections": {"passed-on": {"readers": ["beta"]}},
    }
    await gamma.apply(settings, confirmed=1, **{"passed-on": redact})
    await gamma.pull("alpha")
    assert await compared(beta, "gamma", "passed-on") is None
    assert {row.form for row in await gamma.log("passed-on")} >= {"copy"}
    await gamma.make(gamma.incident("of gamma", x_more="a new version"))
    assert await compared(beta, "gamma", "passed-on") is None
    assert await compared(gamma, "beta", "back") is None
    assert read_again == []


async def test_what_a_peer_prunes_we_keep_and_are_in_step(pair_on_each, read_again):
    alpha, beta = pair_on_each
    first, second = alpha.incident("one"), alpha.incident("two")
    await alpha.make(first, second)
    assert await compared(beta) is None
    async with alpha.store.writing() as tx:
        prune = Entry("prune", first["id"], "incident", None, None, "whole", 0)
        await releases.append(tx, await log_of_tx(tx), [prune], "c", await tx.now())
    assert await compared(beta) is None
    assert PRUNED in {row.reason for row in await beta.ledger("alpha")}
    assert await beta.newest(first["id"]) == first
    await put_again(alpha, first)
    assert await compared(beta) is None
    assert read_again == []


async def put_again(node, value):
    async with node.store.writing() as tx:
        now, version = await tx.now(), make_object(value)
        stored = await objects.add_version(tx, version, received=now)
        entry = Entry("put", version.id, version.type, stored.seq, stored.version_key, "whole", 0, ("test",))
        await releases.append(tx, await log_of_tx(tx), [entry], "c", now)


async def test_what_went_missing_or_too_much_here_is_found_and_mended(pair_on_each, read_again, fetched):
    alpha, beta = pair_on_each
    values = [alpha.incident(str(number)) for number in range(4)]
    await alpha.make(*values)
    assert await compared(beta) is None
    fetched.clear()
    async with beta.store.writing() as tx:
        party = await parties.party_by_name(tx, "alpha")
        configuration, collection_id = await in_force(tx), (await beta.state("alpha")).collection_id
        lost = [(values[1]["id"], make_object(values[1]).sha256)]
        await withdraw_word(tx, configuration, beta.node, lost, party, collection_id, now=await tx.now())
        extra = make_object(of_zoo("never offered"))
        stored = await objects.add_version(tx, extra, received=1)
        source = party.id, remote(collection_id)
        await objects.set_word(tx, stored.seq, *source, "put", authentic=False, hops=0, at=1)
    assert await compared(beta) is None
    assert len(read_again) == 1
    assert await beta.newest(values[1]["id"]) == values[1]
    assert await beta.newest(extra.id) is None
    assert [number for number, _ in fetched] == [1]
    assert await compared(beta) is None
    assert len(read_again) == 1


async def test_what_waits_in_quarantine_stays_there_when_a_log_is_read_again(pair, read_again, fetched):
    """Also what was taken in once, and was doubted afterwards."""
    alpha, beta = pair
    doubted, trusted = alpha.incident("doubted"), alpha.incident("trusted")
    await alpha.make(doubted, trusted)
    assert await compared(beta) is None
    async with beta.store.writing() as tx:
        party = await parties.party_by_name(tx, "alpha")
        configuration, collection_id = await in_force(tx), (await beta.state("alpha")).collection_id
        version = make_object(doubted)
        (row,) = [one for one in await peers.ledger_rows(tx, party.id) if one.object_id == doubted["id"]]
        await peers.note_again(tx, [replace(row, outcome="quarantined", reason="doubted", content=version.raw)])
        pairs = [(version.id, version.sha256)]
        await withdraw_word(tx, configuration, beta.node, pairs, party, collection_id, now=await tx.now())
    assert await compared(beta) is None
    assert read_again == []
    async with alpha.store.writing() as tx:
        await releases.begin_epoch(tx, await log_of_tx(tx))
    fetched.clear()
    assert await compared(beta) is None
    assert len(read_again) == 1
    assert fetched == []
    assert await beta.newest(doubted["id"]) is None
    assert "doubted" in {one.reason for one in await beta.ledger("alpha")}


async def test_a_peer_whose_digest_is_never_right_is_said_to_differ_and_read_all_the_same(beta):
    async with animal() as zoo:
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        beta.home.write_secret("peers/zoo", "w0rd")
        liar = Namer(zoo)
        zoo.answers |= a_node(ZOO, log=["names", "digest"])
        liar.says(of_zoo())

        async def wrong(asked, writer):
            total = Sum()
            total.add([("something", "else"), ("and", "more")])
            shares = [f"{number:032x}" for number in total.digest.shares]
            body = {"position": at(len(liar.entries)), "epoch": "", "count": 2, "shares": shares}
            writer.write(http(200, body, JSON))

        zoo.answers[f"{FOLDER}digest/"] = wrong
        for _ in range(2):
            report = await beta.pull("zoo", terms=NOW)
            assert (report.state, report.error) == ("in step", "")
            assert "2 stand there and 1 here, and they differ in 3 of 256 shares" in report.comparison.difference
        assert (await words_of(beta, "zoo")).startswith("not in step: 2 stand there and 1 here")
        assert len(await beta.holds("zoo")) == 1


# --- clocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "seconds"), [("Wed, 25 Nov 2099 10:00:00 GMT", 10**9), ("soon", None)])
async def test_how_far_a_clock_is_off_is_noted(beta, namer, ahead, seconds):
    namer.says(of_zoo())
    real = namer.answer

    async def dated(asked, writer):
        class Dated:
            def write(self, raw):
                writer.write(
                    raw.replace(b"HTTP/1.1 200 X\r\n", b"HTTP/1.1 200 X\r\nDate: %b\r\n" % ahead.encode())
                )

        await real(asked, Dated())

    async with animal() as zoo:
        liar = Namer(zoo)
        real = liar.answer
        zoo.answers[f"{FOLDER}changes/"] = dated
        await beta.apply({"peers": {"zoo": a_peer(zoo.url, "regional")}, "collections": {"onward": {}}})
        assert (await beta.pull("zoo")).state == "in step"
    skew = (await beta.state("zoo")).skew
    assert skew is None if seconds is None else skew > seconds * 1_000_000


async def test_a_clock_that_is_right_is_off_by_no_more_than_a_second(pair):
    _, beta = pair
    await beta.pull("alpha")
    assert abs((await beta.state("alpha")).skew) < 5_000_000
