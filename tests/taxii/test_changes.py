"""Our own resource for nodes: a collection's log, withdrawals included."""

from taxii_node import PRIVATE, REGIONAL, SETTINGS, domain, indicator
from tocsin.policy.configuration import read_configuration
from tocsin.stix.objects import from_micros, make_object
from tocsin.store import configuration, grants, releases
from tocsin.store.releases import Entry

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"


async def read(node, query="", *, by="rita"):
    answer = await node.get(f"changes/{query}", by=by)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


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
    assert await read(node) == {"more": False, "position": "1970-01-01T00:00:00.000000Z", "entries": []}
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


async def test_who_is_no_longer_a_reader_reads_no_changes(node):
    await admit(node, "walt")
    assert (await node.get("changes/")).status_code == 404


async def test_changes_are_read_with_the_rights_of_reading(node):
    for by, status in (("pia", 403), ("nora", 404), (None, 401)):
        assert (await node.get("changes/", by=by)).status_code == status
    assert (await node.get(f"/exchange/collections/{PRIVATE}/changes/")).status_code == 404


async def test_a_malformed_position_or_limit_is_400(node):
    for query in ("?after=yesterday", "?after=2025:1", "?limit=0", "?after=a&after=b"):
        assert (await node.get(f"changes/{query}")).status_code == 400, query
