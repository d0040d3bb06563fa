"""Our own resource for nodes: a collection's log, withdrawals included."""

import asyncio

from taxii_node import PRIVATE, REGIONAL, SECOND, SETTINGS, domain, indicator
from tocsin.policy.configuration import read_configuration
from tocsin.stix.objects import from_micros, make_object
from tocsin.store import configuration, grants, releases
from tocsin.store.digest import Digest, Sum
from tocsin.store.releases import Entry
from tocsin.taxii import digest as taxii_digest

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"


async def read(node, query="", *, by="rita"):
    answer = await node.get(f"changes/{query}", by=by)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


async def epoch_of(node) -> str:
    async with node.store.reading() as tx:
        return await releases.epoch(tx, REGIONAL)


def at(*positions: int) -> str:
    return ",".join(map(from_micros, positions))


async def take_away(node, value, op="withdraw"):
    entry = Entry(
        op=op, object_id=value["id"], type=value["type"], version_seq=None, version_key=None, form="whole", hops=0
    )
    async with node.store.writing() as tx:
        written = await releases.append(tx, REGIONAL, [entry], node.configuration.sha256, await tx.now())
    return [line.position for line in written]


async def admit(node, *readers):
    """Bring a configuration into force in which these read `regional`; what stands is not judged anew."""
    text = SETTINGS.replace("readers: [rita, walt]", f"readers: [{', '.join(readers)}]", 1)
    files = {**node.home.configuration_files(), "tocsin.yaml": text}
    async with node.store.writing() as tx:
        now = await tx.now()
        await configuration.apply(tx, files, read_configuration(files).sha256, now)
        await grants.set_grants(tx, {(node.parties[name], REGIONAL, "reader") for name in readers}, now)


async def test_an_empty_log_gives_back_where_it_was_asked_to_begin(node):
    start = "1970-01-01T00:00:00.000000Z"
    assert await read(node) == {"more": False, "position": start, "epoch": await epoch_of(node), "entries": []}
    later = await read(node, "?after=2025-03-14T09:26:53.5Z")
    assert later["position"] == "2025-03-14T09:26:53.500000Z"


async def test_an_entry_names_the_version_and_carries_the_object(node):
    (position,) = await node.fill([indicator(1)])
    body = await read(node)
    assert body["position"] == from_micros(position)
    assert body["entries"] == [
        {
            "op": "put",
            "position": from_micros(position),
            "id": indicator(1)["id"],
            "version": OLD,
            "sha256": make_object(indicator(1)).sha256,
            "hops": 0,
            "form": "whole",
            "object": indicator(1),
        }
    ]


async def test_every_version_that_stands_is_told_not_only_the_last(node):
    await node.fill([indicator(1, OLD), indicator(1, NEW), domain(1)])
    assert [entry["version"] for entry in (await read(node))["entries"][:2]] == [OLD, NEW]


async def test_pages_follow_each_other_by_position(node):
    await node.fill([indicator(number) for number in range(5)])
    seen, query = [], "?limit=2"
    while query:
        body = await read(node, query)
        seen += [entry["id"] for entry in body["entries"]]
        query = f"?limit=2&after={body['position']}" if body["more"] else ""
    assert seen == [indicator(number)["id"] for number in range(5)]


async def test_a_taxii_next_is_a_position_as_well(node):
    await node.fill([indicator(1), indicator(2)])
    following = (await node.get("objects/?limit=1")).json()["next"]
    assert [entry["id"] for entry in (await read(node, f"?after={following}"))["entries"]] == [indicator(2)["id"]]


async def test_a_withdrawal_is_told_without_the_object_and_its_put_no_more(node):
    await node.fill([indicator(1), indicator(2)])
    (position,) = await take_away(node, indicator(1))
    entries = (await read(node))["entries"]
    assert [(entry["op"], entry["id"]) for entry in entries] == [
        ("put", indicator(2)["id"]),
        ("withdraw", indicator(1)["id"]),
    ]
    assert "object" not in entries[1]
    assert entries[1]["position"] == from_micros(position)
    assert entries[1]["version"] == OLD


async def test_a_pruned_entry_is_told_as_pruned(node):
    await node.fill([indicator(1)])
    await take_away(node, indicator(1), op="prune")
    assert [entry["op"] for entry in (await read(node))["entries"]] == ["prune"]


async def test_a_revocation_is_told_with_the_object(node):
    await node.fill([indicator(1)])
    await node.fill([indicator(1, NEW, revoked=True)], op="revoke")
    last = (await read(node))["entries"][-1]
    assert (last["op"], last["object"]["revoked"]) == ("revoke", True)


async def test_a_reader_is_told_of_no_withdrawal_before_he_was_let_in(node):
    await node.fill([indicator(1), indicator(2), indicator(3)])
    await take_away(node, indicator(1))
    await admit(node, "rita", "walt", "nora")
    await take_away(node, indicator(2))
    told = {name: await read(node, by=name) for name in ("rita", "nora")}
    gone = {
        name: [entry["id"] for entry in body["entries"] if entry["op"] == "withdraw"]
        for name, body in told.items()
    }
    assert gone == {"rita": [indicator(1)["id"], indicator(2)["id"]], "nora": [indicator(2)["id"]]}
    assert [entry["id"] for entry in told["nora"]["entries"] if entry["op"] == "put"] == [indicator(3)["id"]]


async def test_who_was_let_in_again_is_told_what_was_withdrawn_meanwhile_of_what_he_may_hold(node):
    await admit(node, "rita", "walt", "nora")
    await node.fill([indicator(1)])
    await admit(node, "rita", "walt")
    await node.fill([indicator(2), indicator(3)])
    await take_away(node, indicator(1))
    await take_away(node, indicator(2))
    await admit(node, "rita", "walt", "nora")
    entries = (await read(node, by="nora"))["entries"]
    assert [(entry["op"], entry["id"]) for entry in entries] == [
        ("put", indicator(3)["id"]),
        ("withdraw", indicator(1)["id"]),
    ]


async def test_who_is_no_longer_a_reader_is_told_of_nothing_that_stands(node):
    await node.fill([indicator(1)])
    await admit(node, "walt")
    await node.fill([indicator(2)])
    assert (await read(node))["entries"] == []
    for path in ("", "objects/", "manifest/", "changes/content/?at=" + at(1), "digest/"):
        assert (await node.get(path)).status_code == 404


async def test_changes_are_read_with_the_rights_of_reading(node):
    for by, status in (("pia", 403), ("nora", 404), (None, 401)):
        assert (await node.get("changes/", by=by)).status_code == status
    assert (await node.get(f"/exchange/collections/{PRIVATE}/changes/")).status_code == 404


async def test_a_malformed_position_or_limit_is_400(node):
    for query in ("?after=yesterday", "?after=2025:1", "?limit=0", "?after=a&after=b", "?content=maybe"):
        assert (await node.get(f"changes/{query}")).status_code == 400, query


# --- names, and contents of what is chosen --------------------------------------------------------------------


async def test_names_are_the_same_entries_without_their_objects(node):
    await node.fill([indicator(1), indicator(2), domain(1)])
    await take_away(node, indicator(2))
    whole, names = await read(node), await read(node, "?content=no")
    assert [entry.pop("object", None) for entry in names["entries"]] == [None] * 3
    for entry in whole["entries"]:
        entry.pop("object", None)
    assert names == whole
    assert await read(node, "?content=yes") == await read(node)


async def test_names_are_not_cut_by_the_size_of_objects(node):
    await node.fill([indicator(number, description="x" * 900_000) for number in range(10)])
    assert (await read(node))["more"] is True
    names = await read(node, "?content=no")
    assert (len(names["entries"]), names["more"]) == (10, False)


async def test_contents_are_those_of_the_chosen_positions_in_the_order_of_the_log(node):
    positions = await node.fill([indicator(number) for number in range(4)])
    body = await read(node, f"content/?at={at(positions[3], positions[1], positions[3])}")
    assert (body["more"], body["epoch"]) == (False, await epoch_of(node))
    assert [(entry["position"], entry["object"]) for entry in body["entries"]] == [
        (from_micros(positions[1]), indicator(1)),
        (from_micros(positions[3]), indicator(3)),
    ]
    everything = (await read(node))["entries"]
    assert body["entries"] == [everything[1], everything[3]]


async def test_what_went_or_never_was_at_a_position_has_no_content(node):
    positions = await node.fill([indicator(1), indicator(2)])
    (withdrawal,) = await take_away(node, indicator(1))
    asked = at(positions[0], withdrawal, positions[1], positions[1] + 1)
    body = await read(node, f"content/?at={asked}")
    assert [entry["id"] for entry in body["entries"]] == [indicator(2)["id"]]
    assert (await read(node, f"content/?at={at(withdrawal)}"))["entries"] == []


async def test_contents_are_bounded_in_bytes_and_say_that_more_stand(node):
    values = [indicator(number, description="x" * 900_000) for number in range(12)]
    positions = await node.fill(values)
    got, rounds = {}, 0
    while missing := [position for position in positions if from_micros(position) not in got]:
        body = await read(node, f"content/?at={at(*missing)}")
        assert body["entries"]  # one at least
        got |= {entry["position"]: entry["object"] for entry in body["entries"]}
        assert body["more"] == (len(got) < len(positions))
        rounds += 1
    assert list(got.values()) == values
    assert rounds == 2


async def test_contents_are_read_with_the_rights_of_reading_and_asked_for_properly(node):
    (position,) = await node.fill([indicator(1)])
    for by, status in (("pia", 403), ("nora", 404), (None, 401)):
        assert (await node.get(f"changes/content/?at={at(position)}", by=by)).status_code == status
    for query in ("", "?at=", "?at=,", "?at=1", f"?at={at(*range(201))}", f"?at={at(1)}&at={at(2)}"):
        assert (await node.get(f"changes/content/{query}")).status_code == 400, query
    assert (await node.get(f"changes/content/?at={at(*range(200))}")).status_code == 200


# --- epochs and gaps ------------------------------------------------------------------------------------------


async def gap(node, query, *, by="rita"):
    answer = await node.get(f"changes/{query}", by=by)
    assert answer.status_code == 410, answer.text
    body = answer.json()
    assert body["http_status"] == "410"
    assert body["title"]
    assert body["description"]
    return body["epoch"], body["after"]


async def test_who_comes_from_another_epoch_is_told_so_and_where_to_begin(node):
    (position,) = await node.fill([indicator(1)])
    before = await epoch_of(node)
    assert (await read(node, f"?after={at(position)}&epoch={before}"))["entries"] == []
    async with node.store.writing() as tx:
        began = await releases.begin_epoch(tx, REGIONAL)
    assert began != before
    for query in (
        f"?after={at(position)}&epoch={before}",
        f"?epoch={before}",
        f"content/?at={at(1)}&epoch={before}",
    ):
        epoch, after = await gap(node, query)
        assert epoch == began
        entries = (await read(node, f"?after={after}&epoch={epoch}"))["entries"]
        assert [entry["id"] for entry in entries] == [indicator(1)["id"]]


async def test_a_position_that_this_log_never_gave_out_is_a_gap_wherever_it_lies(node):
    positions = await node.fill([indicator(1), indicator(2)])
    epoch = await epoch_of(node)
    for position in (positions[0] - 1, positions[0] + 1, positions[-1] + 1, positions[-1] + 10**9):
        assert (await gap(node, f"?after={at(position)}&epoch={epoch}"))[0] == epoch
        assert (await node.get(f"changes/?after={at(position)}")).status_code == 200  # any timestamp, as ever
    for position in (0, *positions):
        assert (await node.get(f"changes/?after={at(position)}&epoch={epoch}")).status_code == 200


async def test_who_read_what_was_overtaken_since_just_reads_on(node):
    (first,) = await node.fill([indicator(1)])
    epoch = await epoch_of(node)
    (again,) = await node.fill([indicator(1)])
    (gone,) = await take_away(node, indicator(1))
    for position in (first, again, gone):
        assert (await node.get(f"changes/?after={at(position)}&epoch={epoch}")).status_code == 200


async def test_a_gap_tells_nothing_of_what_a_reader_was_never_told(node):
    """Whether there is an entry at a position that is not for him is not to be found out."""
    (put,) = await node.fill([indicator(1)])
    (withdrawn,) = await take_away(node, indicator(1))
    (other,) = await node.fill([indicator(2)])
    await admit(node, "rita", "walt", "nora")
    epoch = await epoch_of(node)
    for hidden in (put, withdrawn, put + 1):
        assert await gap(node, f"?after={at(hidden)}&epoch={epoch}", by="nora") == (epoch, at(0))
    assert (await node.get(f"changes/?after={at(other)}&epoch={epoch}", by="nora")).status_code == 200
    assert (await node.get(f"changes/?after={at(withdrawn)}&epoch={epoch}")).status_code == 200


# --- digest ---------------------------------------------------------------------------------------------------


def of_what_stands(body) -> Digest:
    total = Sum()
    total.add((entry["id"], entry["sha256"]) for entry in body["entries"] if "object" in entry)
    return total.digest


async def digest(node, *, by="rita"):
    answer = await node.get("digest/", by=by)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    shares = tuple(int(share, 16) for share in body["shares"])
    return body["position"], body["epoch"], Digest(body["count"], shares)


async def test_a_digest_is_of_all_that_stands_up_to_the_last_entry_told(node):
    assert await digest(node) == (at(0), await epoch_of(node), Sum().digest)
    await node.fill([indicator(1, OLD), indicator(1, NEW), indicator(2), domain(1)])
    for _ in range(2):
        body = await read(node)
        assert await digest(node) == (body["position"], body["epoch"], of_what_stands(body))
        await take_away(node, indicator(2))
    assert (await digest(node))[2].count == 3


async def test_a_digest_tells_nothing_of_what_a_reader_was_never_told(node):
    await node.fill([indicator(1), indicator(2)])
    await take_away(node, indicator(2))
    await admit(node, "rita", "walt", "nora")
    theirs = {name: await digest(node, by=name) for name in ("rita", "nora")}
    assert theirs["rita"][1:] == theirs["nora"][1:]
    for name in theirs:
        assert theirs[name][0] == (await read(node, by=name))["position"]
    assert theirs["rita"][0] > theirs["nora"][0]


async def test_a_log_is_added_up_once_for_as_long_as_it_does_not_move(node, monkeypatch):
    added_up = []
    real = taxii_digest.read_digest

    async def counted(tx, collection_id):
        added_up.append(collection_id)
        return await real(tx, collection_id)

    monkeypatch.setattr(taxii_digest, "read_digest", counted)
    await node.fill([indicator(1)])
    await asyncio.gather(*(digest(node, by=by) for by in ("rita", "walt") * 3))
    assert added_up == [REGIONAL]
    await node.fill([indicator(2)], collection_id=SECOND)
    await digest(node)
    assert added_up == [REGIONAL]
    await node.fill([indicator(2)])
    assert (await digest(node))[2].count == 2
    assert len(added_up) == 2


async def test_a_digest_is_read_with_the_rights_of_reading(node):
    for by, status in (("pia", 403), ("nora", 404), (None, 401)):
        assert (await node.get("digest/", by=by)).status_code == status
