"""TAXII 2.1 §3.7 Envelope: how objects travel, and what an empty page looks like to whom."""

import pytest

from taxii_node import SETTINGS, domain, indicator, served

LATER = "2030-01-01T00:00:00Z"
ONE = f"objects/{indicator(1)['id']}/"


async def test_a_page_holds_what_the_envelope_defines_and_nothing_of_our_own(node):
    await node.fill([indicator(1), domain(1)])
    whole, part = (await node.get("objects/")).json(), (await node.get("objects/?limit=1")).json()
    assert list(whole) == ["more", "objects"]
    assert list(part) == ["more", "next", "objects"]
    assert (whole["more"], part["more"]) == (False, True)
    assert isinstance(part["next"], str)


@pytest.fixture
async def chosen(store, tmp_path):
    """A node where the operator chose a list for rita's empty pages; walt has what TAXII says."""
    settings = SETTINGS.replace("rita: {kind: company,", "rita: {kind: company, empty_page: list,", 1)
    async with served(store, tmp_path, settings=settings) as running:
        yield running


EMPTY = [
    "objects/?match[type]=malware",
    f"objects/?added_after={LATER}",
    f"{ONE}?match[version]={LATER}",
    f"{ONE}?match[spec_version]=2.0",
]


async def test_an_empty_page_omits_its_list_unless_the_account_is_to_get_one(chosen):
    for path in ("objects/", "objects/?limit=1"):  # nothing was ever added
        assert (await chosen.get(path, by="rita")).content == b'{"more":false,"objects":[]}'
        assert (await chosen.get(path, by="walt")).content == b"{}"
    await chosen.fill([indicator(1)])
    for path in EMPTY:
        listed, omitted = await chosen.get(path, by="rita"), await chosen.get(path, by="walt")
        assert (listed.status_code, listed.json()) == (200, {"more": False, "objects": []}), path
        assert (omitted.status_code, omitted.content) == (200, b"{}"), path
        assert listed.headers["ETag"] != omitted.headers["ETag"]
        assert not [name for name in omitted.headers if name.startswith("x-taxii")]
        # Elastic goes on from the date of its last answer, whatever that held, and else begins anew
        dates = [value for name, value in listed.headers.items() if name.startswith("x-taxii-date-added-")]
        assert dates == (["2030-01-01T00:00:00.000000Z"] * 2 if "added_after" in path else []), path


async def test_the_choice_of_an_empty_page_changes_nothing_else(chosen):
    await chosen.fill([indicator(1), indicator(2)])
    same = ["objects/", "objects/?limit=1", ONE, f"{ONE}versions/", "manifest/"]
    # only an envelope of objects is what clients quarrel about: these lists are omitted for everybody (§2)
    same += [f"manifest/?added_after={LATER}", f"{ONE}versions/?added_after={LATER}"]
    for path in same:
        listed, omitted = await chosen.get(path, by="rita"), await chosen.get(path, by="walt")
        assert (listed.status_code, listed.content) == (200, omitted.content), path
    assert (await chosen.get(f"objects/{indicator(3)['id']}/", by="rita")).status_code == 404
