"""TAXII 2.1 §7.1 Custom properties: what we do not know is ignored in resources and kept in objects."""

import json

from taxii_node import indicator

CUSTOM = [
    {"x_example": 1},
    {"x_example": {"objects": [indicator(9)]}},
    {"x_example": [[], {}, None, "}],[{"]},
    {"ünïcode": "ü", "": "", "a b": 0},
    {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000001"},  # stix2, MISP
    {"spec_version": "2.0", "type": "nonsense"},
    {"more": True, "next": "x"},  # an envelope that somebody read elsewhere
    {"more": "yes", "next": {}},
    {"id": 7, "status": None, "successes": [1]},
]


async def test_custom_properties_of_an_envelope_are_ignored_wherever_they_stand(node):
    for number, custom in enumerate(CUSTOM):
        first, second = indicator(2 * number + 100), indicator(2 * number + 101)
        for body in ({**custom, "objects": [first]}, {"objects": [second], **custom}):
            answer = await node.post(body)
            assert answer.status_code == 202, custom
            assert (answer.json()["total_count"], answer.json()["success_count"]) == (1, 1), custom
    everything = [indicator(number) for number in range(100, 100 + 2 * len(CUSTOM))]
    assert (await node.get("objects/")).json() == {"more": False, "objects": everything}


async def test_custom_properties_of_an_object_come_back_as_they_were(node):
    odd = indicator(
        1,
        x_misp_event={"id": 7, "tags": ["tlp:green"], "deep": [[[{"more": None}]]]},
        position=1,
        more=True,
        raw="x",
        version="7",
        date_added="never",
        sha256="0" * 64,
    )
    assert (await node.post({"objects": [odd]})).json()["success_count"] == 1
    assert (await node.get("objects/")).json()["objects"] == [odd]
    assert (await node.get(f"objects/{odd['id']}/")).json()["objects"] == [odd]


async def test_custom_parameters_are_ignored(node):
    await node.fill([indicator(1)])
    for query in ("x_example=1", "match[x_example]=1", "match[confidence]=50", "x_example=1&x_example=2"):
        assert len((await node.get(f"objects/?{query}")).json()["objects"]) == 1, query


async def test_no_answer_has_a_custom_property(node):
    """Nothing but `next` on manifest and versions, which §3.5 needs and their tables forget (cti-taxii2#110)."""
    await node.fill([indicator(1), indicator(1, "2025-03-02T00:00:00.000Z")])
    for path, names in (
        ("manifest/?limit=1&match[version]=all", {"more", "next", "objects"}),
        (f"objects/{indicator(1)['id']}/versions/?limit=1", {"more", "next", "versions"}),
        ("objects/?limit=1&match[version]=all", {"more", "next", "objects"}),
    ):
        answer = await node.get(path)
        assert set(json.loads(answer.content)) == names, path
