"""TAXII 2.1 §5.5 Add objects: 202 after the commit, each object counted once, neighbours unharmed."""

import asyncio
import json

import pytest

from taxii_node import TAXII, domain, indicator, served
from tocsin.store import accounts

OLD, NEW = "2025-03-01T00:00:00.000Z", "2025-03-02T00:00:00.000Z"


def counts(answer):
    body = answer.json()
    return tuple(body[f"{name}_count"] for name in ("total", "success", "failure", "pending"))


def dump(value):
    return json.dumps(value).encode()


def envelope_of(*members: bytes) -> bytes:
    return b'{"objects":[%b]}' % b",".join(members)


async def test_what_was_answered_202_is_there_at_once(node):
    answer = await node.post({"objects": [indicator(1), domain(1)]})
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == TAXII
    body = answer.json()
    assert body["status"] == "complete"
    assert counts(answer) == (2, 2, 0, 0)
    assert {"failures", "pendings"}.isdisjoint(body)  # lists are never empty
    assert body["successes"][0] == {"id": indicator(1)["id"], "version": OLD}
    assert body["successes"][1]["id"] == domain(1)["id"]
    assert body["successes"][1]["version"].endswith("Z")  # no date of its own: that of its receipt
    found = (await node.get("objects/")).json()["objects"]
    assert sorted(one["id"] for one in found) == sorted([indicator(1)["id"], domain(1)["id"]])


async def test_the_bytes_come_back_as_they_were_posted(node):
    text = json.dumps(indicator(1)).replace(
        '"indicator 1"', '"\\u00fc", "x_n": 1.50000000000000000001e3, "x_s" : "\\/"'
    )
    await node.post(envelope_of(text.encode()))
    assert text.encode() in (await node.get("objects/")).content


async def test_a_bundle_is_taken_like_an_envelope(node):  # stix2, MISP
    bundle = {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000001", "objects": [indicator(1)]}
    assert counts(await node.post(bundle)) == (1, 1, 0, 0)


@pytest.mark.parametrize("body", [{}, {"objects": []}, {"type": "bundle", "id": "bundle--1"}])
async def test_an_empty_envelope_is_a_complete_status_of_nothing(node, body):
    answer = await node.post(body)
    assert answer.status_code == 202
    assert answer.json()["status"] == "complete"
    assert counts(answer) == (0, 0, 0, 0)


async def test_the_same_version_again_is_a_success_and_stands_once(node):
    for body in ({"objects": [indicator(1)]}, {"objects": [indicator(1), indicator(1)]}):
        answer = await node.post(body)
        assert counts(answer) == (len(body["objects"]), len(body["objects"]), 0, 0)
    assert len((await node.get("objects/?match[version]=all")).json()["objects"]) == 1


async def test_another_content_under_the_same_version_is_202_and_one_of_the_two_stands_whatever_the_order(node):
    first, second = indicator(1), indicator(1, name="another")
    for body in ([first], [second], [first, second], [second, first]):
        answer = await node.post({"objects": body})
        assert answer.status_code == 202
        assert answer.json()["total_count"] == len(body)
    (stands,) = (await node.get("objects/?match[version]=all")).json()["objects"]
    assert stands in (first, second)
    twin = [{**one, "id": indicator(2)["id"]} for one in (second, first)]
    for one in twin:
        await node.post({"objects": [one]})
    records = (await node.get("manifest/?match[version]=all")).json()["objects"]
    assert [record["id"] for record in records] == [indicator(1)["id"], indicator(2)["id"]]


async def test_an_older_version_posted_later_does_not_become_the_last(node):
    await node.post({"objects": [indicator(1, NEW)]})
    assert counts(await node.post({"objects": [indicator(1, OLD)]})) == (1, 1, 0, 0)
    found = (await node.get(f"objects/{indicator(1)['id']}/")).json()["objects"]
    assert [one["modified"] for one in found] == [NEW]


DEEP = (
    b'{"type":"indicator","id":"indicator--00000000-0000-4000-8000-000000000009","x":'
    + b"[" * 60
    + b"]" * 60
    + b"}"
)
BAD_MEMBERS = [
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b'{"type":7,"id":[]}',
    dump(indicator(9) | {"id": "nonsense"}),
    dump(indicator(9) | {"id": "malware--00000000-0000-4000-8000-000000000009"}),
    dump(indicator(9) | {"modified": "yesterday"}),
    dump(indicator(9) | {"created": 7}),
    dump({key: value for key, value in indicator(9).items() if key != "spec_version"}),  # STIX 2.0
    dump({key: value for key, value in indicator(9).items() if key != "pattern"}),
    dump(indicator(9))[:-1] + b',"type":"indicator"}',  # a key given twice
    dump(indicator(9) | {"name": "\x00"}),
    dump(indicator(9))[:-1] + b',"x":"\\ud800"}',
    dump(indicator(9))[:-1] + b',"x":"\\udc00\\ud800","objects":[1]}',
    dump(indicator(9))[:-1] + b',"x":9007199254740993}',
    dump(indicator(9))[:-1] + b',"x":1e999}',
    dump(indicator(9) | {"name": "x" * 300_000}),
    dump(indicator(9) | {"x": ["y" * 200_000] * 6}),  # above 1 MiB
    DEEP,
]


async def test_one_bad_object_never_spoils_its_neighbours(node):
    for number, member in enumerate(BAD_MEMBERS):
        before, after = indicator(2 * number + 100), indicator(2 * number + 101)
        answer = await node.post(envelope_of(dump(before), member, dump(after)))
        assert answer.status_code == 202, member[:80]
        assert counts(answer) == (3, 2, 1, 0), member[:80]
        (failure,) = answer.json()["failures"]
        assert failure["message"]
        assert isinstance(failure["id"], str)
        assert isinstance(failure["version"], str)
        assert [one["id"] for one in answer.json()["successes"]] == [before["id"], after["id"]]
    assert len((await node.get("objects/")).json()["objects"]) == 2 * len(BAD_MEMBERS)


BROKEN = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b'{"objects":[{]}', 400),
    (b'{"objects":[' + dump(indicator(1)) + b",]}", 400),
    (b'{"objects":[' + dump(indicator(1)) + b"]} x", 400),
    (b'{"objects":[' + dump(indicator(1)) + b"]}{}", 400),
    (b'{"objects":[NaN]}', 400),
    (b'{"objects":[{"x":Infinity}]}', 400),
    (b'{"objects":["\xff"]}', 400),
    (b"\xef\xbb\xbf{}", 400),
    (dump({"objects": [indicator(1)]}).decode().encode("utf-16"), 400),
    (b"[" * 100_000, 400),
    (b'{"objects":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    (b'{"objects":[' + dump(indicator(1)) + b'],"objects":[]}', 400),
    (b'{"objects":[],"x":1,"objects":[' + dump(indicator(1)) + b"]}", 400),
    (b'{"objects":[],"\\u006fbjects":[' + dump(indicator(1)) + b"]}", 400),
    (b"null", 422),
    (b"7", 422),
    (b"[]", 422),
    (b'"text"', 422),
    (b'{"objects":null}', 422),
    (b'{"objects":{}}', 422),
    (b'{"objects":7}', 422),
    (b'{"objects":[' + b",".join([b"{}"] * 1001) + b"]}", 422),  # 413 would be about bytes
]


async def test_a_body_that_is_broken_as_a_whole_stores_nothing(node):
    for body, status in BROKEN:
        answer = await node.post(body)
        assert answer.status_code == status, body[:80]
        assert answer.json()["description"], body[:80]
    assert (await node.get("objects/")).content == b"{}"


async def test_a_thousand_objects_at_a_time_are_taken(node):
    answer = await node.post(envelope_of(*[b"{}"] * 1000))
    assert (answer.status_code, counts(answer)) == (202, (1000, 0, 1000, 0))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/taxii+json;version=2.0"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type_or_coding_is_415(node, headers):
    assert (await node.post({"objects": []}, headers=headers)).status_code == 415


async def test_the_policy_of_the_collection_judges_and_gives_its_reason(node):
    malware = {
        "type": "malware",
        "spec_version": "2.1",
        "id": "malware--00000000-0000-4000-8000-000000000001",
        "created": OLD,
        "modified": OLD,
        "is_family": False,
    }
    answer = await node.post({"objects": [indicator(1), malware]})
    assert counts(answer) == (2, 1, 1, 0)
    (failure,) = answer.json()["failures"]
    assert (failure["id"], failure["version"]) == (malware["id"], OLD)
    assert "malware stays out" in failure["message"]
    assert (await node.get(f"objects/{malware['id']}/")).status_code == 404


async def test_only_who_may_add_can_and_who_may_not_read_still_can(node):
    assert (await node.post({"objects": [indicator(1)]}, by="pia")).status_code == 202
    forbidden = await node.post({"objects": [indicator(2)]}, by="rita")
    assert forbidden.status_code == 403
    assert "not add" in forbidden.json()["description"]
    assert (await node.post({"objects": [indicator(2)]}, by="nora")).status_code == 404
    assert (await node.post({"objects": [indicator(2)]}, by=None)).status_code == 401


async def test_a_token_revoked_while_the_body_arrives_stores_nothing(node):
    async def body():
        yield b'{"objects":['
        async with node.store.writing() as tx:
            await accounts.revoke_tokens(tx, node.parties["walt"], await tx.now())
        yield dump(indicator(1)) + b"]}"

    answer = await node.get("objects/", by="walt", method="POST", headers={"Content-Type": TAXII}, content=body())
    assert answer.status_code == 401
    assert (await node.get("objects/")).content == b"{}"


async def test_parallel_posts_of_one_object_all_succeed_and_it_stands_once(node):
    answers = await asyncio.gather(*(node.post({"objects": [indicator(1)]}) for _ in range(5)))
    assert [(answer.status_code, counts(answer)) for answer in answers] == [(202, (1, 1, 0, 0))] * 5
    assert len((await node.get("objects/?match[version]=all")).json()["objects"]) == 1


# --- how much is taken (§4.2.1) ------------------------------------------------------------------------------


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_413(store, tmp_path):
    async with served(store, tmp_path, limits={"body": 2000}) as node:
        assert (await node.get("/exchange/")).json()["max_content_length"] == 2000
        body = dump({"objects": [indicator(1)]})
        assert (await node.post(body + b" " * (2000 - len(body)))).status_code == 202
        large = await node.post(body + b" " * (2001 - len(body)))
        assert (large.status_code, large.json()["http_status"]) == (413, "413")
        assert "2000" in large.json()["description"]


async def raw_request(node, head: str, *parts: bytes) -> bytes:
    """What a node answers to bytes that no library would send."""
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = f"X-API-Key: {node.tokens['walt']}\r\nContent-Type: {TAXII}\r\nHost: x\r\n"
    path = node.collection_url().removeprefix(node.url)
    writer.write(f"POST {path}objects/ HTTP/1.1\r\n{key}{head}\r\n".encode())
    for part in parts:
        writer.write(part)
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_an_endless_chunked_body_is_refused_at_the_limit(store, tmp_path):
    async with served(store, tmp_path, limits={"body": 2000}) as node:
        chunks = [b"3e8\r\n" + b" " * 1000 + b"\r\n"] * 3  # and no end
        answer = await raw_request(node, "Transfer-Encoding: chunked\r\n", *chunks)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_content_length_above_the_limit_is_refused_before_a_byte_of_the_body(node):
    for declared in (10 * 1024 * 1024 + 1, 10**17):
        answer = await raw_request(node, f"Content-Length: {declared}\r\n")
        assert answer.startswith(b"HTTP/1.1 413 "), declared


async def test_a_content_length_that_lies_ends_the_connection_and_stores_nothing(node):
    body = dump({"objects": [indicator(1)]})
    answer = await raw_request(node, f"Content-Length: {len(body) - 5}\r\n", body)
    assert answer.startswith(b"HTTP/1.1 400 ")  # cut short, it is no JSON
    assert (await node.get("objects/")).content == b"{}"


async def test_who_waits_to_be_told_to_continue_is_refused_without_sending(node):
    head = f"Content-Length: {10**8}\r\nExpect: 100-continue\r\n"
    answer = await raw_request(node, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


async def test_who_sends_far_too_much_at_once_sees_why_it_was_refused(node):
    """A connection that ended while the client was sending would show it a reset in place of the 413."""
    for size in (10 * 1024 * 1024 + 1, 20_000_000):
        large = await node.post(b" " * size)
        assert (large.status_code, large.json()["http_status"]) == (413, "413")
    forbidden = await node.post(b" " * 9_000_000, by="rita")
    assert (forbidden.status_code, forbidden.headers["Connection"]) == (403, "close")
    assert (await node.post({"objects": [indicator(1)]})).status_code == 202


# --- what existing servers trip over -------------------------------------------------------------------------

POISON = [
    b'{"type":"software","spec_version":"2.1","id":"software--00000000-0000-4000-8000-000000000001",'
    b'"name":"x","version":"2.0"}',
    dump(indicator(9) | {"id": ["indicator--00000000-0000-4000-8000-000000000009"]}),
    dump(indicator(9) | {"modified": {}}),
    dump(indicator(9) | {"modified": "0000-00-00T00:00:00.000Z"}),
    dump(indicator(9) | {"modified": "2025-03-01T00:00:00.000+99:00"}),
    dump(indicator(9) | {"modified": None}),
    dump(indicator(9) | {"type": None}),
    dump(indicator(9) | {"spec_version": 2.1}),
    dump(indicator(9) | {"object_marking_refs": [7]}),
    dump(indicator(9) | {"revoked": "no"}),
]


async def test_nothing_that_a_writer_posts_can_spoil_the_collection_for_its_readers(node):
    await node.post({"objects": [indicator(1)]})
    for member in POISON:
        assert (await node.post(envelope_of(member))).status_code == 202
        for path in (
            "objects/",
            "manifest/",
            "objects/?match[version]=all",
            f"objects/{indicator(1)['id']}/versions/",
        ):
            assert (await node.get(path)).status_code == 200, (member, path)
    assert (await node.get("objects/")).json()["objects"][0] == indicator(1)


@pytest.mark.parametrize(
    "modified", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999999Z", NEW[:-1] + "123456Z"]
)
async def test_a_strange_date_is_a_version_like_any_other(node, modified):
    strange = indicator(
        1, modified, created="0001-01-01T00:00:00.000Z", valid_until="9999-12-31T23:59:59.123456789Z"
    )
    (told,) = (await node.post({"objects": [strange]})).json()["successes"]
    assert told["version"] == modified
    assert (await node.get(f"objects/?match[version]={modified}")).json()["objects"] == [strange]
    assert (await node.get("manifest/")).json()["objects"][0]["version"] == modified


async def test_the_objects_of_a_post_have_dates_of_their_own_each_in_the_order_in_which_they_stand(node):
    await node.post({"objects": [indicator(number) for number in (4, 2, 3)]})
    records = (await node.get("manifest/")).json()["objects"]
    assert [record["id"] for record in records] == [indicator(number)["id"] for number in (4, 2, 3)]
    assert len({record["date_added"] for record in records}) == 3


async def test_rights_are_looked_at_before_the_body_and_its_type(node):
    for by, status in (("rita", 403), ("nora", 404), (None, 401)):
        assert (await node.post(b"{", by=by, headers={"Content-Type": "text/plain"})).status_code == status


async def test_the_answer_to_a_post_leads_to_its_status(node):
    posted = await node.post({"objects": [indicator(1)]})
    there = await node.get(f"/exchange/status/{posted.json()['id']}/", by="walt")
    assert (posted.status_code, there.json()) == (202, posted.json())
