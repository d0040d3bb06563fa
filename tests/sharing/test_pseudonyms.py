"""What stands for a victim in copies: the same one within a collection and period, and unrelated anywhere else."""

from datetime import UTC, datetime

import pytest

from scene import ALLOW_ANY, NODE, an_incident, identity_of
from tocsin.policy.pseudonyms import victim_pseudonyms
from tocsin.stix.effects import EXTENSION_ID
from tocsin.stix.objects import make_object
from tocsin.stix.validate import problems

SECRET, DAY = b"s" * 32, 86_400
ACME, BOLT = "identity--5d1e2f3a-4b5c-4d6e-8f70-8192a3b4c5d6", "identity--6e2f3a4b-5c6d-4e7f-9081-92a3b4c5d6e7"
NOON = "2026-03-01T12:00:00.000Z"


def test_the_same_victim_in_the_same_collection_and_period_has_the_same():
    first = victim_pseudonyms(SECRET, "c", 90 * DAY, NOON, [ACME])
    again = victim_pseudonyms(SECRET, "c", 90 * DAY, "2026-03-02T12:00:00.123456Z", [ACME])
    assert first == again
    assert len(first[0]) == 32
    assert int(first[0], 16) > 0


@pytest.mark.parametrize(
    ("secret", "collection", "period", "created", "victim"),
    [
        (b"t" * 32, "c", 90 * DAY, NOON, ACME),
        (SECRET, "d", 90 * DAY, NOON, ACME),
        (SECRET, "c", 91 * DAY, NOON, ACME),
        (SECRET, "c", 90 * DAY, "2026-08-01T12:00:00.000Z", ACME),
        (SECRET, "c", 90 * DAY, "2025-08-01T12:00:00.000Z", ACME),
        (SECRET, "c", 90 * DAY, NOON, BOLT),
    ],
)
def test_another_node_collection_period_or_victim_has_an_unrelated_one(
    secret, collection, period, created, victim
):
    (other,) = victim_pseudonyms(secret, collection, period, created, [victim])
    (first,) = victim_pseudonyms(SECRET, "c", 90 * DAY, NOON, [ACME])
    assert other != first
    shared = sum(a == b for a, b in zip(other, first, strict=True))
    assert shared < 16  # of 32 digits two do by chance


def test_a_period_ends_at_a_moment_that_is_alike_for_all_incidents():
    last, first = "1970-03-31T23:59:59.999Z", "1970-04-01T00:00:00.000Z"
    assert victim_pseudonyms(SECRET, "c", 90 * DAY, last, [ACME]) != victim_pseudonyms(
        SECRET, "c", 90 * DAY, first, [ACME]
    )
    assert victim_pseudonyms(SECRET, "c", 90 * DAY, "1970-01-01T00:00:00Z", [ACME]) == victim_pseudonyms(
        SECRET, "c", 90 * DAY, last, [ACME]
    )


def test_their_order_says_nothing_of_that_of_the_victims():
    assert victim_pseudonyms(SECRET, "c", DAY, NOON, [ACME, BOLT]) == victim_pseudonyms(
        SECRET, "c", DAY, NOON, [BOLT, ACME, BOLT]
    )


# --- in copies -----------------------------------------------------------------------------------------------

OURS = "{id: ours, match: {origin: any}, then: allow, reason: shared}"
HIDING = (
    "{id: hide, match: {origin: any}, then: redact, redact: [victim, reporter], pseudonyms: 90d, reason: unnamed}"
)
PERIOD = f"rules: [{OURS}, {HIDING}]"
READ = {"readers": ["acme"], "release": "automatic"}


def one_more(rule):
    return f"rules: [{OURS}, {HIDING}, {rule}]"


async def hit(scene, name, *victims):
    """An incident of ours that hit these."""
    one = scene.incident(name)
    company = [(make_object(identity_of(v, NODE.identity)), "victim") for v in victims]
    await scene.make((one, "incident"), *company)
    return one


async def pseudonyms(scene, key, id_=None):
    """Those in each incident that readers find, or in the copy of one."""
    there = await scene.seen(key)
    wanted = {(await scene.explain(id_, key)).stands_as} if id_ else await scene.incidents_seen(key)
    found = [there[one]["extensions"][EXTENSION_ID].get("victim_pseudonyms") for one in wanted]
    return found[0] if id_ else found


async def test_readers_of_one_collection_can_tell_the_same_victim_and_those_of_two_cannot(scene):
    await scene.apply({"c": READ, "d": READ}, {"c": PERIOD, "d": PERIOD})
    first, second = await hit(scene, "first", "vexilla"), await hit(scene, "second", "vexilla", "other")
    (same,) = await pseudonyms(scene, "c", first.id)
    assert same in await pseudonyms(scene, "c", second.id)
    assert len(await pseudonyms(scene, "c", second.id)) == 2
    elsewhere = await pseudonyms(scene, "d", first.id)
    assert same not in elsewhere
    for value in (await scene.seen("c")).values():
        assert problems(value) == []
    assert "vexilla" not in str(await scene.seen("c"))


async def test_what_is_not_copied_bears_none_and_nothing_is_in_the_original(scene):
    await scene.apply({"c": READ}, {"c": PERIOD})
    one = await hit(scene, "first", "vexilla")
    await scene.apply({"c": READ}, {"c": f"rules: [{OURS}]"})
    assert await pseudonyms(scene, "c", one.id) is None
    assert (await scene.seen("c"))[one.id] == one.value


@pytest.mark.parametrize(
    ("rule", "there"),
    [
        ("{id: b, then: redact, redact: [attribution], reason: r}", True),  # hides no victim: asks for nothing
        ("{id: b, then: redact, redact: [victim], pseudonyms: 1d, reason: r}", True),
        ("{id: b, then: redact, redact: [victim], reason: r}", False),
        ("{id: b, match: {tlp: red}, then: redact, redact: [victim], reason: r}", True),  # does not apply
    ],
)
async def test_every_rule_that_hides_victims_must_ask_for_them(scene, rule, there):
    await scene.apply({"c": READ}, {"c": one_more(rule)})
    one = await hit(scene, "first", "vexilla")
    assert bool(await pseudonyms(scene, "c", one.id)) is there


async def test_of_two_periods_the_shorter_counts(scene):
    await scene.apply(
        {"c": READ}, {"c": one_more("{id: b, then: redact, redact: [victim], pseudonyms: 1d, reason: r}")}
    )
    one = await hit(scene, "first", "vexilla")
    async with scene.store.reading() as tx:
        place = (await scene.ids(tx))["c"]
    victim = identity_of("vexilla")["id"]
    created = str(one.value["created"])
    expected = victim_pseudonyms(NODE.secret, place, DAY, created, [victim])
    assert await pseudonyms(scene, "c", one.id) == list(expected)


async def test_those_of_another_node_s_copy_are_not_passed_on_into_ours(scene):
    await scene.apply({"c": {"readers": ["acme"]}}, {"c": PERIOD})
    creator = identity_of("gamma", tlp="clear")
    theirs = dict(scene.incident("theirs").value) | {
        "id": "incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111",
        "created_by_ref": creator["id"],
    }
    extension = theirs["extensions"][EXTENSION_ID] | {"victim_pseudonyms": ["0" * 32]}
    theirs["extensions"] = {EXTENSION_ID: extension}
    assert problems(theirs) == []
    await scene.receive("gamma", creator, theirs)
    assert (await scene.explain(theirs["id"], "c")).stands == "redacted"
    assert await pseudonyms(scene, "c") == [None]
    await scene.apply({"c": {"readers": ["acme"]}}, {"c": ALLOW_ANY})
    assert (await scene.seen("c"))[theirs["id"]] == theirs  # whole, as its creator made it


@pytest.mark.parametrize("wrong", [["0" * 31], ["G" * 32], ["A" * 32], [], ["0" * 32] * 2, "0" * 32])
def test_another_shape_is_not_valid(wrong):
    value = an_incident(datetime(2026, 3, 1, tzinfo=UTC))
    value["extensions"][EXTENSION_ID]["victim_pseudonyms"] = wrong
    assert problems(value)
