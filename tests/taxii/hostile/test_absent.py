"""What a reader may not see is not there (reliability 3.6: S1–S10, S20–S24, S28; guarantee G2).

The strongest form: two nodes that differ only in what is hidden from a reader answer him byte for byte alike.
"""

import base64
import itertools
import uuid
from contextlib import asynccontextmanager

import pytest
from wire import Answer, head_of, one_answer

from taxii_node import PRIVATE, REGIONAL, SECOND, SETTINGS, TAXII, Clock, indicator, served
from tocsin.store import accounts
from tocsin.store.transaction import Store

HIDDEN = indicator(7, name="hidden")
MISSING = "3f0c4d5e-7a11-4c1e-9b0d-00000000dead"
NOBODY = indicator(77)["id"]
ACCEPTS = [TAXII, "application/json", "*/*", "text/html", "application/taxii+json;version=2.0", "nonsense"]
METHODS = ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"]
FILTERS = [
    "",
    "?limit=1",
    "?limit=0",
    "?match[version]=all",
    "?added_after=x",
    "?next=x",
    "?match[id]=" + HIDDEN["id"],
]
BELOW = [
    "",
    "objects/",
    "manifest/",
    "changes/",
    f"objects/{HIDDEN['id']}/",
    f"objects/{HIDDEN['id']}/versions/",
]


async def ask(node, method, path, *, by="rita", accept="*/*", body=False) -> Answer:
    more = [f"Accept: {accept}", f"Content-Type: {TAXII}", "Content-Length: 0"] if body else [f"Accept: {accept}"]
    head = head_of(node, f"{method} {path} HTTP/1.1", *more, by=by)
    return await one_answer(node, head, of_head=method == "HEAD")


async def test_absent_and_not_for_you_are_the_same_bytes_and_headers_by_every_method_filter_and_accept(node):
    await node.fill([HIDDEN], collection_id=PRIVATE)
    for below, method, filter_ in itertools.product(BELOW, METHODS, FILTERS):
        absent = await ask(node, method, f"/exchange/collections/{MISSING}/{below}{filter_}")
        for name in (PRIVATE, "private"):
            hidden = await ask(node, method, f"/exchange/collections/{name}/{below}{filter_}")
            assert hidden.dated() == absent.dated(), (method, below, filter_)
        assert absent.status in (404, 405)
    for below, accept in itertools.product(BELOW, ACCEPTS):
        absent = await ask(node, "GET", f"/exchange/collections/{MISSING}/{below}", accept=accept)
        hidden = await ask(node, "GET", f"/exchange/collections/{PRIVATE}/{below}", accept=accept)
        assert hidden.dated() == absent.dated(), (below, accept)


async def test_an_object_that_stands_elsewhere_alone_is_one_that_stands_nowhere(node):
    await node.fill([indicator(1)])
    await node.fill([HIDDEN], collection_id=PRIVATE)
    root = f"/exchange/collections/{REGIONAL}/objects/"
    for by, method, filter_ in itertools.product(("rita", "walt"), METHODS, FILTERS):
        for below in ("", "versions/"):
            hidden = await ask(node, method, f"{root}{HIDDEN['id']}/{below}{filter_}", by=by)
            absent = await ask(node, method, f"{root}{NOBODY}/{below}{filter_}", by=by)
            assert hidden.dated() == absent.dated(), (by, method, below, filter_)


async def test_a_status_of_another_is_one_that_never_was(node):
    status = (await node.post({"objects": [indicator(1)]}, by="walt")).json()["id"]
    for method, accept in itertools.product(METHODS, ACCEPTS):
        theirs = await ask(node, method, f"/exchange/status/{status}/", accept=accept)
        absent = await ask(node, method, f"/exchange/status/{uuid.uuid4()}/", accept=accept)
        assert theirs.dated() == absent.dated(), (method, accept)
    assert (await node.get(f"/exchange/status/{status}/", by="walt")).status_code == 200


async def test_what_a_stranger_is_told_depends_on_nothing_that_is_here(node):
    await node.fill([HIDDEN])
    status = (await node.post({"objects": [indicator(1)]}, by="walt")).json()["id"]
    paths = [
        "/taxii2/",
        "/exchange/",
        "/exchange/collections/",
        *(f"/exchange/collections/{id_}/{below}" for id_ in (REGIONAL, PRIVATE, MISSING) for below in BELOW),
        f"/exchange/status/{status}/",
        f"/exchange/status/{uuid.uuid4()}/",
    ]
    answers = {(await ask(node, "GET", path, by="")).dated() for path in paths}
    assert len(answers) == 1
    assert answers.pop()[0] == 401


@asynccontextmanager
async def twin(make_database, folder, monkeypatch, **options):
    """A node whose clock, tokens and ids are the same wherever the same was asked of it."""
    folder.mkdir()
    numbers = itertools.count(1)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers), version=4))
    store = await Store.open(make_database("sqlite"), clock=Clock(), require_durable=False)
    try:
        async with served(store, folder, **options) as node:
            yield node
    finally:
        await store.close()


READS = [
    "/taxii2/",
    "/exchange/",
    "/exchange/collections/",
    *(f"/exchange/collections/{REGIONAL}/{below}" for below in BELOW),
    f"/exchange/collections/{SECOND}/objects/",
    f"/exchange/collections/{PRIVATE}/objects/",
    *(
        f"/exchange/collections/{REGIONAL}/{resource}/?{query}"
        for resource in ("objects", "manifest", "changes")
        for query in (
            "limit=1",
            "limit=2&match[version]=all",
            f"match[id]={HIDDEN['id']}",
            f"match[id]={HIDDEN['id']},{indicator(1)['id']}",
            "match[version]=first",
            "match[type]=indicator",
            "match[spec_version]=2.0",
            "added_after=2025-03-14T09:26:53Z",
        )
    ),
]


async def test_a_reader_of_two_nodes_that_differ_in_what_is_hidden_from_him_cannot_tell_them_apart(
    make_database, tmp_path, monkeypatch, no_fault
):
    transcripts = []
    for name, stands_privately in (("one", 0), ("other", 40)):
        async with twin(make_database, tmp_path / name, monkeypatch) as node:
            values = [indicator(number) for number in range(3)]
            node.store._clock.at = 1_800_000_000_000_000  # as if filling had taken no time
            await node.fill(
                [indicator(100 + number) for number in range(stands_privately)] or [], collection_id=PRIVATE
            )
            if stands_privately:
                await node.fill([HIDDEN], collection_id=PRIVATE)
            node.store._clock.at = 1_900_000_000_000_000
            await node.fill(values)
            said = []
            for path, coding in itertools.product(READS, ("identity", "gzip")):
                head = head_of(node, f"GET {path} HTTP/1.1", f"Accept-Encoding: {coding}", by="rita")
                said.append((path, (await one_answer(node, head)).dated()))
            page = (await node.get("objects/?limit=1")).json()
            said.append((await node.get(f"objects/?next={page['next']}")).content)
            transcripts.append(said)
    assert transcripts[0] == transcripts[1]


async def test_a_writer_who_posts_an_id_that_is_hidden_from_him_is_told_what_he_is_told_of_a_new_one(
    make_database, tmp_path, monkeypatch, no_fault
):
    """What another writer brought elsewhere; an id of our own tells of itself, and can be guessed by nobody."""
    told = []
    settings = SETTINGS.replace(
        "title: Second, readers: [rita],", "title: Second, readers: [rita], writers: [pia],"
    )
    for name, hidden in (("new", []), ("held", [HIDDEN, indicator(7, "2025-03-09T00:00:00.000Z")])):
        async with twin(make_database, tmp_path / name, monkeypatch, settings=settings) as node:
            answer = await node.post(
                {"objects": hidden}, by="pia", path=f"/exchange/collections/{SECOND}/objects/"
            )
            assert answer.json()["success_count"] == len(hidden)
            for value in (indicator(7), indicator(7), HIDDEN, indicator(7, "2025-03-05T00:00:00.000Z")):
                answer = await node.post({"objects": [value]})
                said = {key: value for key, value in answer.json().items() if key not in _OF_THE_MOMENT}
                told.append((name, answer.status_code, said, dict(answer.headers).keys()))
    half = len(told) // 2
    assert [one[1:] for one in told[:half]] == [one[1:] for one in told[half:]]


_OF_THE_MOMENT = {"id", "request_timestamp"}


async def test_more_and_page_sizes_rest_on_what_is_visible_alone(node):
    await node.fill([indicator(number) for number in range(4)])
    await node.fill([indicator(2)], op="withdraw")
    for resource in ("objects", "manifest"):
        page = (await node.get(f"{resource}/?limit=3")).json()
        assert (len(page["objects"]), page["more"]) == (3, False)
        page = (await node.get(f"{resource}/?limit=2")).json()
        assert (len(page["objects"]), page["more"]) == (2, True)


async def test_the_order_of_a_page_is_that_of_its_dates_and_not_of_how_things_were_stored(node):
    await node.fill([indicator(5), indicator(3)], collection_id=PRIVATE)
    await node.fill([indicator(3), indicator(9), indicator(5)])
    records = (await node.get("manifest/")).json()["objects"]
    assert [record["id"] for record in records] == [indicator(number)["id"] for number in (3, 9, 5)]
    assert [record["date_added"] for record in records] == sorted(record["date_added"] for record in records)


async def test_two_readers_of_one_collection_get_the_same_answer_and_of_no_other_account(node):
    await node.fill([indicator(1)])
    first = await node.get("objects/", by="rita")
    second = await node.get("objects/", by="walt")
    assert first.content == second.content
    assert first.headers["ETag"] == second.headers["ETag"]
    # a tag is of what is said: it never makes an answer out of one that the reader may not have
    answer = await node.get("objects/", by="nora", headers={"If-None-Match": first.headers["ETag"]})
    assert answer.status_code == 404
    answer = await node.get("objects/", by="", headers={"If-None-Match": "*"})
    assert answer.status_code == 401


async def test_no_answer_says_what_it_was_made_of(node):
    await node.fill([indicator(1)])
    for path in ("objects/", "nowhere/", "objects/?limit=0", "/healthz", "/taxii2/"):
        answer = await node.get(path)
        names = {name.lower() for name in answer.headers}
        assert not names & {"server", "x-powered-by", "server-timing", "x-process-time", "last-modified", "via"}
        if "private" not in answer.headers.get("Cache-Control", ""):
            assert answer.headers.get("Cache-Control") == "no-store" or path == "/healthz"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/.well-known/tocsin.json"])
async def test_what_is_public_names_nothing_that_is_kept_here(node, path):
    await node.fill([HIDDEN], collection_id=PRIVATE)
    said = (await node.get(path, by="")).text
    for word in (HIDDEN["id"], PRIVATE, REGIONAL, "private", "regional", "rita", "walt", "sqlite", str(node.home)):
        assert word not in said


async def test_a_refusal_of_a_token_is_the_same_whatever_is_wrong_with_it(node):
    async with node.store.writing() as tx:
        revoked = await accounts.make_token(tx, node.parties["nora"], await tx.now())
        await accounts.revoke_tokens(tx, node.parties["nora"], await tx.now())
    right = node.tokens["rita"]
    wrong = [
        revoked,
        right[:-1] + ("A" if right[-1] != "A" else "B"),
        right[:21],
        right.swapcase(),
        f"tcn_{'0' * 16}_{'A' * 43}",
        "x",
    ]
    said = set()
    for token in wrong:
        for key in (f"X-API-Key: {token}", f"Authorization: Bearer {token}"):
            said.add((await one_answer(node, head_of(node, "GET /taxii2/ HTTP/1.1", key, by=""))).dated())
    for user in ("rita", "walt", "nobody"):
        coded = base64.b64encode(f"{user}:{wrong[1]}".encode()).decode()
        head = head_of(node, "GET /taxii2/ HTTP/1.1", f"Authorization: Basic {coded}", by="")
        said.add((await one_answer(node, head)).dated())
    assert len(said) == 1
