"""TAXII 2.1 §3.2 HTTP headers: when the first and the last object of an answer were added."""

from reading import LATER, MARKING, SOFTWARE, ids
from taxii_node import domain, indicator
from taxii_tables import DATA_TYPES
from tocsin.stix.objects import from_micros

ID = indicator(1)["id"]
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"


async def test_every_entry_has_a_date_of_its_own_and_the_headers_name_the_first_and_last(node):
    positions = await node.fill([indicator(1), domain(1), MARKING])
    manifest = await node.get("manifest/")
    dates = [record["date_added"] for record in manifest.json()["objects"]]
    assert dates == [from_micros(position) for position in positions]
    assert dates == sorted(set(dates))
    for answer in (manifest, await node.get("objects/")):
        assert answer.headers["X-TAXII-Date-Added-First"] == dates[0]
        assert answer.headers["X-TAXII-Date-Added-Last"] == dates[-1]


async def test_the_dates_stand_on_all_four_endpoints_and_are_those_of_this_answer_alone(node):
    one, two, three, four = map(
        from_micros, await node.fill([indicator(1), domain(1), indicator(1, "2025-03-02T00:00:00Z"), domain(2)])
    )
    for path, first, last in (
        ("objects/", two, four),  # the last versions alone, unless others are asked for
        ("manifest/", two, four),
        ("objects/?match[version]=all", one, four),
        ("objects/?limit=1", two, two),
        ("manifest/?limit=2", two, three),
        (f"objects/?added_after={two}", three, four),
        ("objects/?match[type]=indicator", three, three),
        (f"objects/{ID}/", three, three),
        (f"objects/{ID}/?match[version]=first", one, one),
        (f"objects/{ID}/versions/", one, three),
        (f"objects/{ID}/versions/?limit=1", one, one),
    ):
        answer = await node.get(path)
        assert (answer.headers[FIRST], answer.headers[LAST]) == (first, last), path


async def test_the_dates_are_timestamps_that_lead_on_when_sent_back(node):
    await node.fill([indicator(1), MARKING, SOFTWARE])
    answer = await node.get("objects/?limit=2")
    assert DATA_TYPES["timestamp"](answer.headers[LAST])
    assert ids(await node.get(f"objects/?added_after={answer.headers[LAST]}")) == [SOFTWARE["id"]]


async def test_where_nothing_was_added_no_date_is_said(node):
    """An invalid or invented date would move a client's `added_after` to where it skips objects."""
    await node.fill([indicator(1)])
    empty = [f"{path}?added_after={LATER}" for path in ("objects/", "manifest/", f"objects/{ID}/")]
    for path in (*empty, f"objects/{ID}/versions/?added_after={LATER}", "/taxii2/", "/exchange/", "", "nowhere/"):
        answer = await node.get(path)
        assert not [name for name in answer.headers if name.startswith("x-taxii")], path
    posted = await node.post({"objects": [indicator(2)]})
    assert not [name for name in posted.headers if name.startswith("x-taxii")]
