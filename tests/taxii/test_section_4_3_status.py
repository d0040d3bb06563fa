"""TAXII 2.1 §4.3 Get status: what became of a POST, for whoever sent it."""

import json
import uuid

import httpx2

from reading import MARKING, NEW, OLD
from taxii_node import REGIONAL, domain, indicator, listening
from taxii_tables import faults
from tocsin.app import make_app
from tocsin.store import postings


async def test_a_status_can_be_read_again_by_its_poster_as_it_was_answered(node):
    posted = await node.post({"objects": [indicator(1)]})
    assert posted.status_code == 202
    again = await node.get(f"/exchange/status/{posted.json()['id']}/", by="walt")
    assert again.status_code == 200
    assert again.json() == posted.json()


async def test_a_status_is_nobody_elses_business(node):
    posted = await node.post({"objects": [indicator(1)]})
    theirs = await node.get(f"/exchange/status/{posted.json()['id']}/", by="pia")
    none = await node.get(f"/exchange/status/{uuid.uuid4()}/", by="pia")
    assert (theirs.status_code, theirs.content) == (404, none.content)


async def test_a_status_is_kept_for_more_than_a_day_and_not_for_ever(node):
    hour = 3600 * 1_000_000
    kept, forgotten = str(uuid.uuid4()), str(uuid.uuid4())
    async with node.store.writing() as tx:
        now = await tx.now()
        for id_, age in ((kept, 25), (forgotten, 49)):
            await postings.put_status(
                tx, id_, node.parties["walt"], REGIONAL, json.dumps({"id": id_}).encode(), now - age * hour
            )
    await node.post({"objects": []})
    assert (await node.get(f"/exchange/status/{kept}/", by="walt")).status_code == 200
    assert (await node.get(f"/exchange/status/{forgotten}/", by="walt")).status_code == 404


async def test_what_is_no_status_id_is_404(node):
    for id_ in ("x", "regional", "00000000-0000-0000-0000-000000000000", "%00"):
        assert (await node.get(f"/exchange/status/{id_}/", by="walt")).status_code == 404, id_


async def test_a_status_outlives_its_process(node):
    posted = (await node.post({"objects": [indicator(1)]})).json()
    async with listening(make_app(node.store, node.home)) as another, httpx2.AsyncClient() as http:
        again = await http.get(
            f"{another}/exchange/status/{posted['id']}/", headers={"X-API-Key": node.tokens["walt"]}
        )
    assert again.json() == posted


MIXED = [
    [],
    [indicator(1)],
    [{}, 7, None, "text", []],
    [indicator(2), {}, domain(1), indicator(3, "yesterday")],
    [indicator(4), indicator(4), indicator(4, NEW)],
]


async def test_the_counts_add_up_and_each_is_the_length_of_its_list(node):
    for objects in MIXED:
        status = (await node.post({"objects": objects})).json()
        assert faults("status", status) == []
        assert status["total_count"] == len(objects)
        counts = [status[f"{name}_count"] for name in ("success", "failure", "pending")]
        lists = [len(status.get(name, ())) for name in ("successes", "failures", "pendings")]
        assert counts == lists
        assert sum(counts) == status["total_count"]


async def test_a_status_is_complete_when_it_is_first_seen_and_stays_so(node):
    status = (await node.post({"objects": [indicator(1)]})).json()
    assert (status["status"], status["pending_count"]) == ("complete", 0)
    assert (await node.get(f"/exchange/status/{status['id']}/", by="walt")).json() == status


async def test_each_post_has_a_status_of_its_own_with_the_time_of_the_request(node):
    first, second = [(await node.post({"objects": [indicator(1)]})).json() for _ in range(2)]
    assert first["id"] != second["id"]
    assert first["request_timestamp"] < second["request_timestamp"]


async def test_a_detail_names_the_object_by_its_id_and_its_version_by_modified_else_created(node):
    marking = {**MARKING, "created": "2025-01-01T00:00:00.000Z"}
    faulty = {"id": indicator(2)["id"], "modified": OLD}
    status = (await node.post({"objects": [indicator(1, "2025-03-02T00:00:00.500Z"), marking, faulty]})).json()
    assert status["successes"] == [
        {"id": indicator(1)["id"], "version": "2025-03-02T00:00:00.500Z"},
        {"id": marking["id"], "version": marking["created"]},
    ]
    (failure,) = status["failures"]
    assert (failure["id"], failure["version"]) == (faulty["id"], faulty["modified"])
    assert failure["message"]


async def test_the_version_of_what_has_no_date_is_the_same_here_as_in_the_manifest(node):
    first, again = [(await node.post({"objects": [domain(1)]})).json()["successes"] for _ in range(2)]
    records = (await node.get("manifest/")).json()["objects"]
    assert [record["version"] for record in records] == [first[0]["version"]]
    assert first == again


async def test_a_status_is_asked_for_with_get_alone(node):
    status = (await node.post({})).json()
    for method in ("POST", "DELETE", "PUT"):
        assert (await node.get(f"/exchange/status/{status['id']}/", by="walt", method=method)).status_code == 405
