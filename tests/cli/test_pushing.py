"""push: what is added to collections of a peer's, as sync, peer list and peer show tell it."""

import asyncio

import pytest

from tocsin.store import parties, pushes, releases
from tocsin.store.pushes import Pushed, PushKey
from tocsin.store.transaction import Store

PEER = """peers:
  portal:
    url: http://127.0.0.1:1/taxii2/
    push: [{collection: shared, to: Theirs}]
"""


@pytest.fixture
def pushing(node):
    """A node that pushes `shared` to a peer where nobody listens."""
    node.edit("peers: {}", PEER)
    node.edit("readers: [] ", "readers: [portal] ")
    node.ok("apply", "--yes")
    return node


async def _note(home, *rows: Pushed) -> None:
    store = await Store.open(f"sqlite:///{home / 'tocsin.db'}")
    try:
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, "portal")
            ids = {row.key: row.id for row in await releases.collections(tx)}
            key = PushKey(party.id, ids["shared"], "Theirs")
            await pushes.ensure_pushes(tx, [key])
            await pushes.note(tx, key, rows)
            await pushes.succeeded(tx, key, await tx.now(), 0)
    finally:
        await store.close()


def test_what_a_peer_refused_and_what_stays_there_is_shown_with_its_words(pushing):
    stands = pushing.lines("peer", "list", "--json")[0]["pushes"][0]
    assert (stands["collection"], stands["to"], stands["stands"]) == ("shared", "Theirs", "never contacted")
    rows = [
        Pushed("tool--1", "v", "v", 1, "added", "", 1),
        Pushed("tool--2", "v", "v", 2, "refused", "not our kind", 2),
        Pushed("tool--3", "v", "v", 3, "untold", "nothing is deleted here", 3),
    ]
    asyncio.run(_note(pushing.home, *rows))
    (shown,) = pushing.lines("peer", "show", "portal", "--json")
    assert [(row["id"], row["outcome"], row["reason"]) for row in shown["not_pushed"]] == [
        ("tool--3", "untold", "nothing is deleted here"),
        ("tool--2", "refused", "not our kind"),
    ]
    assert (shown["pushes"][0]["added"], shown["pushes"][0]["stands"]) == (1, "in step")
    said = pushing.ok("peer", "show", "portal")
    assert "shared pushed into Theirs: in step; 1 there, 1 refused by them, 1 withdrawn and still there" in said
    assert "not our kind" in said


def test_a_push_that_fails_is_said_by_sync_and_by_the_status(pushing):
    pushing.ok("peer", "credential", "portal", typed="secret\n")
    done = pushing("sync")
    assert done.exit_code == 1
    assert "shared to portal/Theirs: failed: portal cannot be reached" in done.stdout
    (line,) = pushing.lines("peer", "list", "--json")
    assert line["stands"].startswith("failing:")
    assert "portal: failing" in pushing("status").stdout


def test_a_push_to_who_is_no_reader_is_refused_with_its_line(pushing):
    pushing.edit("readers: [portal] ", "readers: [] ")
    done = pushing("check")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "'portal' is no reader of 'shared'" in said
    lines = (pushing.home / "tocsin.yaml").read_text().splitlines()
    at = next(number for number, line in enumerate(lines, 1) if "push:" in line)
    assert f"tocsin.yaml:{at}" in said
