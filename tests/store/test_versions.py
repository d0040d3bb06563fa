"""A version is kept once, on the word of its sources, and the one in force is the same whatever came first."""

from itertools import permutations

import pytest

from samples import NOW, incident, incident_id, keep, make_collection, observable, put, withdraw
from tocsin.errors import NotFound
from tocsin.stix.objects import from_micros, make_object, read_object, version_key
from tocsin.store import objects, releases
from tocsin.store.objects import Word
from tocsin.store.transaction import Store

V1, V2, V3 = (f"2025-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))


async def test_the_same_version_again_is_not_new(store):
    async with store.writing() as tx:
        first = await objects.add_version(tx, incident(1), received=NOW)
        again = await objects.add_version(tx, incident(1), received=NOW + 5)
        (held,) = await objects.versions(tx, incident_id(1))
    assert (first.new, again.new, again.seq) == (True, False, first.seq)
    assert (held.received, held.version, held.version_key) == (
        NOW,
        "2025-01-01T00:00:00.000Z",
        "2025-01-01T00:00:00",
    )


async def test_of_the_same_version_twice_in_one_list_one_is_new(store):
    async with store.writing() as tx:
        kept = await objects.add_versions(tx, [incident(1), incident(2), incident(1)], received=NOW)
    assert [stored.new for stored in kept] == [True, True, False]
    assert kept[0].seq == kept[2].seq != kept[1].seq


async def test_more_versions_than_one_statement_takes_keep_their_order(store):
    versions = [incident(n) for n in range(1201)]
    async with store.writing() as tx:
        kept = await objects.add_versions(tx, versions, received=NOW)
        found = {one.seq: one for version in versions for one in await objects.versions(tx, version.id)}
        assert await objects.add_versions(tx, [], received=NOW) == []
    assert [found[stored.seq].id for stored in kept] == [version.id for version in versions]


async def test_an_object_without_dates_has_one_version_for_each_hash_dated_by_its_first_receipt(store):
    async with store.writing() as tx:
        first = await objects.add_version(tx, observable(1), received=NOW)
        other = await objects.add_version(tx, observable(1, "192.0.2.2"), received=NOW)  # in the same microsecond
        again = await objects.add_version(tx, observable(1), received=NOW + 1_000_000)
        held = await objects.versions(tx, observable(1).id)
    assert (again.seq, again.new, other.new) == (first.seq, False, True)
    assert first.version == again.version == from_micros(NOW)
    assert {version.version_key for version in held} == {version_key(from_micros(NOW))}
    assert [version.object.version for version in held] == [None, None]


async def test_what_is_kept_is_what_came_byte_for_byte(store):
    raw = (
        b'{ "type":"incident", "id":"%s",\n "created":"2025-01-01T00:00:00Z","modified":"2025-01-01T00:00:00.10Z",'
        % (incident_id(1).encode())
    )
    raw += '"x_score": 0.10000000000000000000001, "name": "Grüße \\u00e9" }'.encode()
    version = read_object(raw)
    async with store.writing() as tx:
        await keep(tx, version)
        held = (await objects.newest(tx, [version.id]))[version.id]
    assert held.raw == raw
    assert held.object == version
    assert (held.version, held.version_key) == ("2025-01-01T00:00:00.10Z", "2025-01-01T00:00:00.1")
    assert held.sha256 == version.sha256


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "tool", "spec_version": "2.1", "created": V1, "modified": V1}, "2.1"),
        ({"type": "tool", "created": V1, "modified": V1}, "2.0"),
        ({"type": "marking-definition", "created": V1}, "2.0"),
        ({"type": "ipv4-addr", "value": "192.0.2.1"}, "2.1"),
        ({"type": "ipv4-addr", "spec_version": "2.1", "value": "192.0.2.1"}, "2.1"),
    ],
)
async def test_the_version_of_stix_is_known_where_it_is_not_said(store, value, expected):
    version = make_object({**value, "id": f"{value['type']}--00000001-0000-4000-8000-000000000000"})
    async with store.writing() as tx:
        await objects.add_version(tx, version, received=NOW)
        assert [held.spec_version for held in await objects.versions(tx, version.id)] == [expected]


# --- sources -------------------------------------------------------------------------------------------------


async def test_the_last_word_of_a_source_counts(store):
    async with store.writing() as tx:
        stored = await keep(tx, incident(1), "p", "c", hops=2, at=NOW)
        await objects.set_word(tx, stored.seq, "p", "c", "withdraw", authentic=False, hops=2, at=NOW + 1)
        assert await objects.newest(tx, [incident_id(1)]) == {}
        assert await objects.offered(tx, [incident_id(1)]) == {}
        assert await objects.all_ids(tx) == []
        await objects.set_word(tx, stored.seq, "p", "c", "put", authentic=True, hops=1, at=NOW + 2)
        (source,) = (await objects.sources(tx, [stored.seq]))[stored.seq]
    assert (source.word, source.authentic, source.hops) == ("put", True, 1)
    assert (source.first_heard, source.last_heard) == (NOW, NOW + 2)


async def test_one_withdrawal_of_two_sources_leaves_the_other(store):
    async with store.writing() as tx:
        stored = await keep(tx, incident(1), "p", "c")
        await objects.set_words(
            tx,
            [
                Word(stored.seq, "q", "c", "put", False, 3, NOW),
                Word(stored.seq, "p", "c", "withdraw", True, 0, NOW),
            ],
        )
        held = (await objects.newest(tx, [incident_id(1)]))[incident_id(1)]
        assert [(source.party_id, source.live) for source in held.sources] == [("q", True)]
        assert not held.authentic
        every = (await objects.sources(tx, [stored.seq]))[stored.seq]
    assert [(source.party_id, source.word) for source in every] == [("p", "withdraw"), ("q", "put")]


async def test_a_revoked_version_is_still_held(store):
    async with store.writing() as tx:
        stored = await keep(tx, incident(1, revoked=True), "p", "c")
        await objects.set_word(tx, stored.seq, "p", "c", "revoke", authentic=True, hops=0, at=NOW)
        assert (await objects.newest(tx, [incident_id(1)]))[incident_id(1)].revoked


async def test_content_is_forgotten_when_no_source_offers_and_no_log_shows_it(store):
    one = incident(1)
    async with store.writing() as tx:
        collection_id = await make_collection(tx)
        stored = await keep(tx, one, "p", "c")
        assert await objects.forget_unheld(tx, [one.id]) == 0  # still offered
        await releases.append(tx, collection_id, [put(one, stored)], "c", NOW)
        await objects.set_word(tx, stored.seq, "p", "c", "withdraw", authentic=False, hops=0, at=NOW)
        assert await objects.forget_unheld(tx, [one.id]) == 0  # still shown
        await releases.append(tx, collection_id, [withdraw(one)], "c", NOW)
        assert await objects.forget_unheld(tx, [one.id]) == 1
        assert await objects.forget_unheld(tx, [one.id]) == 0
        (fact,) = await objects.versions(tx, one.id)
        assert (fact.raw, fact.sha256, fact.version) == (b"", one.sha256, one.version)
        with pytest.raises(NotFound, match="no longer kept"):
            _ = fact.value
        again = await keep(tx, one, "p", "c")
        assert (again.seq, again.new) == (stored.seq, True)
        assert (await objects.newest(tx, [one.id]))[one.id].raw == one.raw


# --- in force ------------------------------------------------------------------------------------------------


async def test_which_content_is_in_force_does_not_depend_on_what_came_first(make_database):
    low, high = sorted((incident(1, name="a"), incident(1, name="b")), key=lambda version: version.sha256)
    rows = [
        # (whose content is authentic, which is in force)
        ({}, low),
        ({"low": True}, low),
        ({"high": True}, high),  # authentic beats asserted
        ({"low": True, "high": True}, low),  # of two authentic ones the lower hash
    ]
    store = await Store.open(make_database("sqlite"), require_durable=False)
    try:
        for authentic, expected in rows:
            for order in permutations([("low", low), ("high", high)]):
                async with store.writing() as tx:
                    for name, version in order:
                        await keep(tx, version, name, "c", authentic=authentic.get(name, False))
                    assert (await objects.newest(tx, [low.id]))[low.id].sha256 == expected.sha256
                    offered = (await objects.offered(tx, [low.id]))[low.id]
                    assert [version.sha256 for version in offered] == [
                        low.sha256,
                        high.sha256,
                    ]  # each with its source
    finally:
        await store.close()


async def test_the_newest_version_is_in_force_by_instant_not_by_spelling(store):
    early, late = "2025-01-01T00:00:00.1Z", "2025-01-01T00:00:00.10001Z"
    async with store.writing() as tx:
        for version in (late, early):
            await keep(tx, incident(1, version))
        assert (await objects.newest(tx, [incident_id(1)]))[incident_id(1)].version == late
        assert [v.version for v in (await objects.offered(tx, [incident_id(1)]))[incident_id(1)]] == [early, late]


async def test_a_withdrawn_newest_version_gives_way_to_the_one_before(store):
    async with store.writing() as tx:
        await keep(tx, incident(1, V1))
        newest = await keep(tx, incident(1, V2))
        await objects.set_word(tx, newest.seq, "", "", "withdraw", authentic=True, hops=0, at=NOW)
        assert (await objects.newest(tx, [incident_id(1)]))[incident_id(1)].version == V1


async def test_incidents_are_paged_latest_received_first(store):
    async with store.writing() as tx:
        for n in (1, 2, 3):
            await keep(tx, incident(n, V1))
        await keep(tx, incident(1, V2))
        await keep(tx, observable(9))
        gone = await keep(tx, incident(4, V1))
        await objects.set_word(tx, gone.seq, "", "", "withdraw", authentic=True, hops=0, at=NOW)
        await keep(tx, incident(2, V1, name="another content"), "p", "c", authentic=False)
        for limit in (1, 2, 3, 4):
            assert await _all_incidents(tx, limit) == [(2, V1), (1, V2), (3, V1)]


async def test_an_incident_is_listed_once_with_the_version_in_force_whatever_others_assert(store):
    async with store.writing() as tx:
        await keep(tx, incident(1, V1), "creator", "c", authentic=True)
        await keep(tx, incident(2, V1))
        await keep(tx, incident(3, V1), "creator", "c", authentic=True)
        for name in ("a", "b"):  # two contents, neither of them its creator's
            await keep(tx, incident(1, V2, name=name), name, "c", authentic=False)
        await keep(tx, incident(3, V2), "p", "c", authentic=False)
        for limit in (1, 2, 3, 4):
            assert await _all_incidents(tx, limit) == [(3, V1), (1, V1), (2, V1)]
        assert await objects.incidents(tx, before=1) == ([], None)


async def _all_incidents(tx, limit):
    """The number and version of each, read page by page."""
    found, before = [], None
    while True:
        page, before = await objects.incidents(tx, before=before, limit=limit)
        assert len(page) <= limit
        found += [(next(n for n in range(9) if incident_id(n) == one.id), one.version) for one in page]
        if before is None:
            return found


# --- finding -------------------------------------------------------------------------------------------------


async def test_ids_are_found_by_the_first_digits_of_any_type(store):
    async with store.writing() as tx:
        assert await objects.ids_by_prefix(tx, "000000") == []
        for version in (incident(1), incident(2), incident(0x1234_5678), observable(1)):
            await keep(tx, version)
        assert await objects.ids_by_prefix(tx, "00000001") == [incident_id(1), observable(1).id]
        assert await objects.ids_by_prefix(tx, "000000010000") == [incident_id(1), observable(1).id]
        assert await objects.ids_by_prefix(tx, "00000001-0000-4") == [incident_id(1), observable(1).id]
        assert await objects.ids_by_prefix(tx, "12345678") == [incident_id(0x1234_5678)]
        assert await objects.ids_by_prefix(tx, "ffffff") == []
        assert len(await objects.ids_by_prefix(tx, "000000", limit=2)) == 2
        assert await objects.all_ids(tx, {"ipv4-addr"}) == [observable(1).id]


async def test_what_each_version_names_is_noted(store):
    async with store.writing() as tx:
        one, newer = [(await keep(tx, incident(1, version))).seq for version in (V1, V2)]
        other = (await keep(tx, incident(2))).seq
        await objects.note_references(tx, [(one, ["x", "y", "x"]), (other, ["y"])])
        await objects.note_references(tx, [(newer, ["z"]), (newer, [])])
        assert await objects.referring(tx, ["x"]) == {incident_id(1)}
        assert await objects.referring(tx, ["y", "z"]) == {incident_id(1), incident_id(2)}
        assert await objects.referring(tx, []) == set()
        assert await objects.names_of(tx, [incident_id(1)]) == {"x", "y", "z"}
