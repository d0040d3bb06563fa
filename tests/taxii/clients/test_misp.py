"""MISP as a TAXII client: it browses a collection by itself, and pushes events by a script around taxii2-client.

Its behaviour: peers.md 5.1, MISP#8832, cti-taxii-client#106; public source MISP/MISP, `app/Model/TaxiiServer.php`
(browsing: `limit=50` and `next`, `basic` in lower case, `Content-type` on GET, an empty list is an error to its
user) and `app/files/scripts/taxii/taxii_push.py` (push: envelopes made byte by byte up to `max_content_length`, an
object that is larger alone is left out, no waiting for the status). What it pushes is made by misp-stix: custom
objects and properties called `x_misp_…`, observables and markings that have no `modified`.

Its protocol allows: browsing, each page as it is; pushing, every object that fits, if one envelope holds at most
as many of them as we take (see the last test: it knows of bytes alone).
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import stix2
from busy_writer import beside
from requests.auth import HTTPBasicAuth
from requests.exceptions import HTTPError
from stix2.serialization import serialize
from taxii2client import ApiRoot, Collection

from taxii_node import REGIONAL, SETTINGS, ServedNode, served

# a statement is a marking that this node does not understand, so it counts as TLP:RED
RED = SETTINGS.replace("clearance: green", "clearance: red")
ANY = "rules: [{id: any, match: {origin: any}, then: allow, reason: writers may share what they have}]"
TAXII = "application/taxii+json;version=2.1"
THEN = "2025-03-01T00:00:00.000Z"


@dataclass
class Misp:
    """One configured server, whose `api_key` is base64 of user:password."""

    node: ServedNode
    by: str = "rita"

    @property
    def api_key(self) -> str:
        return base64.b64encode(f"{self.by}:{self.node.tokens[self.by]}".encode()).decode()

    async def collections(self) -> list[dict]:
        return (await self._query("/exchange/collections/"))["collections"]

    async def browse(self, next_: str | None = None) -> dict:
        """One page; its user asks for the following one."""
        query = "limit=50" + (f"&next={next_}" if next_ else "")  # PHP leaves out what is null
        found = await self._query(f"/exchange/collections/{REGIONAL}/objects/?{query}")
        if not found.get("objects"):
            raise LookupError("No objects found in collection with the given query parameters.")
        return found

    async def look_at(self, id_: str) -> dict:
        found = await self._query(f"/exchange/collections/{REGIONAL}/objects/{id_}/")
        return found["objects"][0]

    async def _query(self, uri: str) -> dict:
        headers = {
            "Accept": TAXII,
            "Content-type": TAXII,
            "Authorization": f"basic {self.api_key}",
            "User-Agent": "CakePHP",
            "Connection": "close",
        }
        answer = await self.node.http.get(self.node.url + uri, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def push(self, objects) -> list[int]:
        """The script's work; the sizes of the envelopes that were sent. It ends at the first error."""
        auth = HTTPBasicAuth(*base64.b64decode(self.api_key.encode()).split(b":"))
        api_root_url = f"{self.node.url}/exchange"
        sizes = []
        with ApiRoot(api_root_url, auth=auth) as root:
            longest = root.max_content_length
        with Collection(f"{api_root_url}/collections/{REGIONAL}", auth=auth) as collection:
            for envelope in envelopes(objects, longest):
                sizes.append(len(envelope))
                status = collection.add_objects(envelope, wait_for_completion=False)
                assert status.failure_count == 0, status.failures
        return sizes


def envelopes(objects, longest: int) -> Iterator[bytes]:
    """Serialised objects joined by hand, each envelope as long as it may be."""
    parts: list[bytes] = []
    for one in objects:
        raw = serialize(one).encode()
        if parts and len(b'{"objects":[%b]}' % b",".join([*parts, raw])) > longest:
            yield b'{"objects":[%b]}' % b",".join(parts)
            parts = []
        if len(b'{"objects":[%b]}' % raw) <= longest:
            parts.append(raw)
    if parts:
        yield b'{"objects":[%b]}' % b",".join(parts)


def id_of(kind: str, number: int) -> str:
    return f"{kind}--00000000-0000-4000-8000-{number:012d}"


def event(number: int = 1) -> list:
    """What misp-stix makes of one event, as far as its shapes go; all that it says is invented."""
    dated = {"spec_version": "2.1", "created": THEN, "modified": THEN}
    creator = id_of("identity", 1)
    values = [
        {"type": "identity", "id": creator, **dated, "name": "Example CSIRT", "identity_class": "organization"},
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": id_of("marking-definition", number),
            "created": THEN,
            "definition_type": "statement",
            "definition": {"statement": 'misp:tool="example"'},
        },
        {"type": "domain-name", "spec_version": "2.1", "id": id_of("domain-name", number), "value": "c2.example"},
        {
            "type": "file",
            "spec_version": "2.1",
            "id": id_of("file", number),
            "name": "example.bin",
            "hashes": {"SHA-256": "ab" * 32},
            "x_misp_text": "seen in the drop folder",
        },
        {
            "type": "observed-data",
            "id": id_of("observed-data", number),
            **dated,
            "created_by_ref": creator,
            "first_observed": THEN,
            "last_observed": THEN,
            "number_observed": 1,
            "object_refs": [id_of("domain-name", number), id_of("file", number)],
            "labels": ['misp:type="domain"', 'misp:category="Network activity"'],
        },
        {
            "type": "indicator",
            "id": id_of("indicator", number),
            **dated,
            "created_by_ref": creator,
            "pattern": "[domain-name:value = 'c2.example']",
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": "2025-03-01T00:00:00Z",
            "kill_chain_phases": [{"kill_chain_name": "misp-category", "phase_name": "Network activity"}],
            "labels": ['misp:to_ids="True"'],
            "object_marking_refs": [id_of("marking-definition", number)],
            "x_misp_first_seen": "2025-02-28T23:59:59.123456+00:00",
        },
        {
            "type": "x-misp-attribute",
            "id": id_of("x-misp-attribute", number),
            **dated,
            "created_by_ref": creator,
            "x_misp_type": "size-in-bytes",
            "x_misp_category": "Other",
            "x_misp_value": "7",
            "x_misp_comment": "é → 𝄞",
        },
        {
            "type": "x-misp-object",
            "id": id_of("x-misp-object", number),
            **dated,
            "created_by_ref": creator,
            "x_misp_name": "bank-account",
            "x_misp_meta_category": "financial",
            "x_misp_attributes": [
                {"type": "text", "object_relation": "iban", "value": "XX00 EXAMPLE", "to_ids": False}
            ],
        },
        {
            "type": "grouping",
            "id": id_of("grouping", number),
            **dated,
            "created_by_ref": creator,
            "name": "An invented event",
            "context": "suspicious-activity",
            "object_refs": [id_of("indicator", number), id_of("observed-data", number)],
            "labels": ['misp:threat-level="low"', "Threat-Report"],
        },
    ]
    return [stix2.parse(value, allow_custom=True) for value in values]


@pytest.fixture
async def open_node(store, tmp_path):
    """A node whose writers may share every type."""
    async with served(store, tmp_path, settings=RED, policy=ANY) as running:
        yield running


def said(values) -> list[dict]:
    """Objects of `stix2` as what they serialise to."""
    return [json.loads(serialize(value)) for value in values]


# --- browsing -------------------------------------------------------------------------------------------------


async def test_it_lists_collections_and_looks_at_one_object(node, writer):
    await writer.burst(2)
    misp = Misp(node)
    assert [one["title"] for one in await misp.collections()] == ["Regional exchange", "Second"]
    assert (await misp.look_at(writer.added[1]))["id"] == writer.added[1]


async def test_it_browses_pages_of_fifty_while_a_writer_adds_between_and_during_them(node, writer):
    await writer.burst(120)
    misp, found = Misp(node), []
    page = await misp.browse()
    assert len(page["objects"]) == 50
    found += page["objects"]
    await writer.add(1)
    async with writer.adding(5):
        while page.get("next"):
            page = await misp.browse(page["next"])
            found += page["objects"]
    assert [one["id"] for one in found] == writer.added[: len(found)]
    assert len(found) >= 121


async def test_an_empty_collection_is_its_own_words_and_no_error_of_ours(node):
    with pytest.raises(LookupError, match="No objects found"):
        await Misp(node).browse()


async def test_an_empty_next_is_the_first_page(node, writer):
    """A query builder that keeps empty values sends `next=`."""
    await writer.burst(1)
    answer = await node.get("objects/?limit=50&next=")
    assert [one["id"] for one in answer.json()["objects"]] == writer.added


# --- pushing --------------------------------------------------------------------------------------------------


async def test_an_event_that_it_pushes_is_there_whole_with_all_that_is_misps_own(open_node):
    pushed = event()
    misp = Misp(open_node, by="walt")
    assert len(await beside(lambda: misp.push(pushed))) == 1
    found = (await open_node.get("objects/")).json()["objects"]
    assert [one for one in said(pushed) if one not in found] == []
    assert len(await beside(lambda: misp.push(pushed))) == 1  # the same event again: all successes
    assert (await open_node.get("objects/?match[version]=all")).json()["objects"] == found


async def test_it_splits_what_it_pushes_by_max_content_length_to_the_last_byte(store, tmp_path):
    async with served(store, tmp_path, settings=RED, policy=ANY, limits={"body": 2500}) as node:
        events = {one["id"]: one for number in range(1, 4) for one in event(number)}  # the creator is one
        large = stix2.Indicator(**event(9)[5], description="x" * 2500, allow_custom=True)
        misp = Misp(node, by="walt")
        sizes = await beside(lambda: misp.push([*events.values(), large]))
        assert len(sizes) > 2
        assert max(sizes) <= 2500
        found = (await node.get("objects/?limit=1000")).json()["objects"]
        assert [one for one in said(events.values()) if one not in found] == []
        assert large["id"] not in {one["id"] for one in found}


async def test_a_marking_posted_before_what_it_marks_is_there_when_that_comes(open_node):
    """An envelope may end between the two."""
    marking, marked = event()[1], event()[5]
    misp = Misp(open_node, by="walt")
    for one in (marking, marked):
        await beside(lambda one=one: misp.push([one]))
        found = (await open_node.get("objects/")).json()["objects"]
        assert said([one])[0] in found


async def test_an_envelope_of_exactly_max_content_length_is_taken_and_one_byte_more_is_not(store, tmp_path):
    (body,) = envelopes(event(), 1_000_000)
    for length, expected in ((len(body), 202), (len(body) - 1, 413)):
        home = tmp_path / str(expected)
        home.mkdir()
        async with served(store, home, settings=RED, policy=ANY, limits={"body": length}) as node:
            assert (await node.post(body)).status_code == expected


async def test_more_objects_than_one_envelope_may_hold_end_its_push_with_422(open_node):
    """1,000 objects are taken at a time. MISP knows of bytes alone, and ten megabytes hold more than that."""
    many = [stix2.DomainName(id=id_of("domain-name", number), value="c2.example") for number in range(1001)]
    misp = Misp(open_node, by="walt")
    with pytest.raises(HTTPError, match="422"):
        await beside(lambda: misp.push(many))
    assert (await open_node.get("objects/")).content == b"{}"
    await beside(lambda: misp.push(many[:1000]))
    assert len((await open_node.get("objects/?limit=1000")).json()["objects"]) == 1000
