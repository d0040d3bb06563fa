"""Our own resource for nodes: what a reader did with what was taken back; and what former readers may still do."""

import json

import pytest

from taxii_node import PRIVATE, REGIONAL, domain, indicator
from test_changes import admit, read, take_away
from tocsin.stix.objects import from_micros
from tocsin.store import acknowledgements, audit

JSON = {"Content-Type": "application/json"}
PATH = "acknowledgements/"


def one(position, value, outcome="purged", **more):
    return {"position": from_micros(position), "id": value["id"], "outcome": outcome, **more}


async def say(node, *said, by="rita", status=200):
    answer = await node.post({"acknowledgements": list(said)}, by=by, path=PATH, headers=JSON)
    assert answer.status_code == status, answer.text
    return answer.json()


async def noted(node):
    async with node.store.reading() as tx:
        found = await acknowledgements.acknowledgements(tx, REGIONAL)
    return {(party, at): (row.outcome, row.reason, row.open) for (party, at), row in found.items()}


async def test_a_later_answer_takes_the_place_of_an_earlier_one_and_the_same_again_changes_nothing(node):
    await node.fill([indicator(1)])
    (at,) = await take_away(node, indicator(1))
    told = {"acknowledged": [from_micros(at)], "unknown": []}
    assert await say(node, one(at, indicator(1), open=2)) == told
    assert await say(node, one(at, indicator(1), open=2)) == told
    key = (node.parties["rita"], at)
    assert await noted(node) == {key: ("purged", "", 2)}
    assert await say(node, one(at, indicator(1), "retained", reason="held on the word of delta")) == told
    assert await noted(node) == {key: ("retained", "held on the word of delta", 0)}
    async with node.store.reading() as tx:
        assert [entry.event for entry in await audit.entries(tx, "rita")] == ["acknowledged"] * 2


async def test_what_he_was_not_told_of_is_unknown_as_what_does_not_exist(node):
    await node.fill([indicator(1), indicator(2), indicator(4)])
    (gone_before,) = await take_away(node, indicator(1))
    await admit(node, "rita", "walt", "nora")
    standing = (await read(node, by="nora"))["entries"][0]
    (at,) = await take_away(node, indicator(2))
    (other,) = await node.fill([indicator(3)], collection_id=PRIVATE)
    said = [
        one(gone_before, indicator(1)),  # before his grant
        {"position": standing["position"], "id": standing["id"], "outcome": "purged"},  # it stands
        one(at, indicator(4)),  # names another object
        one(other, indicator(3)),  # of another log
        one(at + 1, indicator(2)),  # nothing is there
    ]
    for unknown in said:
        assert await say(node, unknown, by="nora") == {"acknowledged": [], "unknown": [unknown["position"]]}
    assert await noted(node) == {}
    assert (await say(node, *said, one(at, indicator(2)), by="nora"))["acknowledged"] == [from_micros(at)]


BAD = [
    ("not JSON", b"{"),
    ("a list", b"[]"),
    ("no list", {"acknowledgements": {}}),
    ("an empty list", {"acknowledgements": []}),
    ("too many", {"acknowledgements": [one(1, indicator(1))] * 1001}),
    ("no outcome", {"acknowledgements": [{"position": from_micros(1), "id": indicator(1)["id"]}]}),
    ("another outcome", {"acknowledgements": [one(1, indicator(1), "lost")]}),
    ("retained without a reason", {"acknowledgements": [one(1, indicator(1), "retained", reason="  ")]}),
    ("refused without a reason", {"acknowledgements": [one(1, indicator(1), "refused")]}),
    ("a long reason", {"acknowledgements": [one(1, indicator(1), reason="x" * 1001)]}),
    ("no id", {"acknowledgements": [one(1, {"id": "x"})]}),
    ("no position", {"acknowledgements": [one(1, indicator(1)) | {"position": "yesterday"}]}),
    ("fewer than none open", {"acknowledgements": [one(1, indicator(1), open=-1)]}),
    ("half a reader open", {"acknowledgements": [one(1, indicator(1), open=0.5)]}),
    ("NUL in a reason", {"acknowledgements": [one(1, indicator(1), reason="a\0b")]}),
    ("a key twice", b'{"acknowledgements": [], "acknowledgements": []}'),
]


@pytest.mark.parametrize("body", [body for _, body in BAD], ids=[name for name, _ in BAD])
async def test_nonsense_is_400_with_the_reason_and_nothing_of_it_is_taken(node, body):
    await node.fill([indicator(1)])
    (at,) = await take_away(node, indicator(1))
    if isinstance(body, dict) and isinstance(body["acknowledgements"], list) and body["acknowledgements"]:
        body["acknowledgements"] = [one(at, indicator(1)), *body["acknowledgements"]]
    answer = await node.post(body, by="rita", path=PATH, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["description"]
    assert await noted(node) == {}


async def test_a_body_beyond_its_limit_is_413_and_of_another_type_415(node):
    large = json.dumps({"acknowledgements": [one(1, indicator(1), more="x" * 1024 * 1024)]}).encode()
    assert (await node.post(large, by="rita", path=PATH, headers=JSON)).status_code == 413
    assert (await node.post(b"{}", by="rita", path=PATH)).status_code == 415
    assert (
        await node.post(b"{}", by="rita", path=PATH, headers=JSON | {"Content-Encoding": "gzip"})
    ).status_code == 415


async def test_acknowledgements_need_the_rights_of_reading(node):
    for by, status in (("pia", 403), ("nora", 404), ("", 401)):
        await say(node, one(1, indicator(1)), by=by, status=status)
    assert (await node.get(PATH)).status_code == 405


async def test_a_former_reader_is_told_by_name_until_he_answers(node):
    await node.fill([indicator(1), indicator(2), indicator(3), domain(1)])
    await read(node)
    epoch = (await read(node))["epoch"]
    await admit(node, "walt")
    await node.fill([indicator(4)])
    (first,) = await take_away(node, indicator(1))
    await take_away(node, indicator(4))
    (again,) = await node.fill([indicator(1)])  # for others; he may hold it from before
    (pruned,) = await take_away(node, indicator(3), op="prune")
    (second,) = await take_away(node, domain(1))
    body = await read(node)
    assert [(entry["op"], entry["id"]) for entry in body["entries"]] == [
        ("withdraw", indicator(1)["id"]),
        ("withdraw", domain(1)["id"]),
    ]
    assert not any("object" in entry for entry in body["entries"])
    assert [entry["position"] for entry in (await read(node, f"?after={from_micros(first)}"))["entries"]] == [
        from_micros(second)
    ]
    page = await read(node, "?limit=1")
    assert (page["more"], len(page["entries"])) == (True, 1)
    assert (await say(node, one(first, indicator(1)), one(pruned, indicator(3))))["acknowledged"] == [
        from_micros(first)
    ]
    assert [entry["id"] for entry in (await read(node))["entries"]] == [domain(1)["id"]]
    for known, status in ((0, 200), (first, 200), (second, 200), (again, 410), (again + 1, 410)):
        answer = await node.get(f"changes/?after={from_micros(known)}&epoch={epoch}")
        assert answer.status_code == status


async def test_a_former_reader_is_told_of_a_revocation_without_the_object(node):
    await node.fill([indicator(1)])
    await admit(node, "walt")
    revoked = indicator(1, "2025-03-03T00:00:00.000Z", revoked=True)
    (at,) = await node.fill([revoked], op="revoke")
    await node.fill([indicator(2, "2025-03-03T00:00:00.000Z", revoked=True)], op="revoke")  # he never had it
    (entry,) = (await read(node))["entries"]
    assert (entry["op"], entry["id"], "object" in entry) == ("revoke", revoked["id"], False)
    assert (await say(node, one(at, revoked)))["acknowledged"] == [from_micros(at)]
    assert (await read(node))["entries"] == []


async def test_who_reads_changes_is_noted_once(node):
    for _ in range(3):
        await read(node)
    subject = f"{node.parties['rita']} {REGIONAL}"
    async with node.store.reading() as tx:
        assert await acknowledgements.reads_changes(tx, node.parties["rita"], REGIONAL)
        assert not await acknowledgements.reads_changes(tx, node.parties["walt"], REGIONAL)
        assert len(await audit.entries(tx, subject)) == 1
