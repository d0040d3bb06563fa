"""A collection that wants several persons gets nothing before that many have said so of the same version."""

from datetime import timedelta

import pytest

import scene as scenery
from scene import ALLOW_ALL_OURS, NODE, identity_of
from tocsin.errors import BadFile, NotAllowed, Refused
from tocsin.policy.configuration import read_configuration
from tocsin.sharing import schedule
from tocsin.sharing.approvals import Person, half_approved, prove
from tocsin.sharing.publish import publish
from tocsin.sharing.withdraw import withdraw
from tocsin.stix.markings import Tlp
from tocsin.stix.objects import make_object
from tocsin.store import accounts, parties

PEOPLE = """
  mari: {role: publisher}
  olev: {role: operator}
  anna: {role: publisher}
  jaan: {role: analyst}
peers:
"""
TWO = {"c": {"readers": ["acme"], "approvals": 2}, "open": {"readers": ["beta"]}}
RULES = {"c": ALLOW_ALL_OURS, "open": ALLOW_ALL_OURS}


@pytest.fixture
async def manned(scene, monkeypatch):
    """The scene with four people's accounts, a collection that wants two of them, and one that wants nobody."""
    monkeypatch.setattr(scenery, "NODE_YAML", scenery.NODE_YAML.replace("\npeers:\n", PEOPLE, 1))
    await scene.apply(TWO, RULES)
    return scene


async def person(scene, name):
    async with scene.store.reading() as tx:
        found = await parties.party_by_name(tx, name)
        return Person(found.id, name)


async def say(scene, name, *ids, key="c", follow=False):
    by = await person(scene, name) if name else None
    scene.later()
    async with scene.store.writing() as tx:
        return await publish(tx, scene.configuration, NODE, ids, now=scene.now, key=key, follow=follow, by=by)


async def made(scene, name="one", **effects):
    one = scene.incident(name, **effects)
    victim = make_object(identity_of(f"victim of {name}", NODE.identity, at=scene.clock))
    await scene.make((one, "incident"), (victim, "victim"))
    return one


async def let_in(scene):
    """The versions that readers of `c` have."""
    return {value["modified"] for id_, value in (await scene.seen("c")).items() if id_.startswith("incident--")}


def missing(outcomes, id_, key="c"):
    (found,) = [one for one in outcomes if (one.collection, one.object_id) == (key, id_)]
    return [reason.text for reason in found.reasons if reason.rule == "approvals"]


async def test_one_person_is_not_two_however_often_he_says_so(manned):
    one = await made(manned)
    for _ in range(3):
        outcomes = await say(manned, "mari", one.id)
        assert missing(outcomes, one.id) == ["approved by mari; 1 more person must approve it (2 in all)"]
    assert await let_in(manned) == set()


async def test_the_second_person_lets_it_in_with_its_company(manned):
    one = await made(manned)
    await say(manned, "mari", one.id)
    outcomes = await say(manned, "olev", one.id)
    assert missing(outcomes, one.id) == []
    assert await let_in(manned) == {one.version}
    assert len(await manned.seen("c")) > 2  # its victim, and who made it
    assert (await manned.explain(one.id, "c")).approvals.by == ("mari", "olev")


async def test_what_waits_for_a_second_person_is_listed_and_explained(manned):
    one = await made(manned)
    assert (await manned.explain(one.id, "c")).approvals.missing == 2
    await say(manned, "anna", one.id)
    found = await manned.explain(one.id, "c")
    assert (found.would, found.approvals.by, found.approvals.missing) == ("waiting", ("anna",), 1)
    async with manned.store.reading() as tx:
        ((key, id_, tally),) = await half_approved(tx, manned.configuration)
    assert (key, id_, tally.by) == ("c", one.id, ("anna",))
    await say(manned, "mari", one.id)
    async with manned.store.reading() as tx:
        assert await half_approved(tx, manned.configuration) == []


async def test_nobody_in_particular_approves_nothing(manned):
    one = await made(manned)
    with pytest.raises(Refused, match="approval of 2 persons: say who you are"):
        await say(manned, None, one.id)
    outcomes = await say(manned, None, one.id, key=None, follow=True)
    assert missing(outcomes, one.id) == ["nobody has approved it yet; 2 persons must approve it (2 in all)"]
    assert await manned.incidents_seen("open") == {one.id}
    assert await let_in(manned) == set()


async def test_a_word_on_every_collection_is_an_approval_where_it_is_wanted(manned):
    one = await made(manned)
    await say(manned, "mari", one.id, key=None)
    assert (await manned.incidents_seen("open"), await let_in(manned)) == ({one.id}, set())
    await say(manned, "anna", one.id, key=None)
    assert await let_in(manned) == {one.version}


async def test_an_analyst_counts_for_nobody(manned):
    one = await made(manned)
    await say(manned, "jaan", one.id)
    await say(manned, "mari", one.id)
    assert await let_in(manned) == set()


async def test_a_newer_version_needs_all_approvals_anew(manned):
    first = await made(manned)
    for name in ("mari", "olev"):
        await say(manned, name, first.id)
    manned.later()
    second = await made(manned, means=["wiper"])
    assert await let_in(manned) == {first.version}
    await say(manned, "mari", first.id)
    assert await let_in(manned) == {first.version}
    await say(manned, "anna", first.id)
    assert await let_in(manned) == {second.version}


async def test_approvals_of_two_versions_do_not_add_up(manned):
    first = await made(manned)
    await say(manned, "mari", first.id)
    manned.later()
    await made(manned, means=["wiper"])
    await say(manned, "olev", first.id)
    assert await let_in(manned) == set()


async def test_a_change_of_what_was_made_with_it_is_another_thing_to_approve(manned):
    one = await made(manned)
    await say(manned, "mari", one.id)
    manned.later()
    victim = make_object(identity_of("victim of one", NODE.identity, at=manned.clock) | {"name": "another name"})
    await manned.make((one, "incident"), (victim, "victim"))
    await say(manned, "olev", one.id)
    assert await let_in(manned) == set()


@pytest.mark.parametrize(("follows", "newest"), [((True, True), True), ((True, False), False)])
async def test_later_versions_are_covered_only_if_all_approved_them(manned, follows, newest):
    first = await made(manned)
    for name, follow in zip(("mari", "olev"), follows, strict=True):
        await say(manned, name, first.id, follow=follow)
    manned.later()
    second = await made(manned, means=["wiper"])
    assert await let_in(manned) == {second.version if newest else first.version}


@pytest.mark.parametrize("follow", [False, True])
async def test_a_hold_does_not_let_in_what_was_not_approved(manned, follow):
    first = await made(manned)
    for name in ("mari", "olev"):
        await say(manned, name, first.id)
    await say(manned, None, first.id, key="open", follow=follow)
    await manned.publish(first.id, follow=follow)
    manned.later()
    await made(manned, means=["wiper"])
    await manned.hold(first.id)
    assert await let_in(manned) == {first.version}


@pytest.mark.parametrize("where", [None, "c"])
async def test_one_person_takes_it_back_and_two_let_it_in_again(manned, where):
    one = await made(manned)
    for name in ("mari", "olev"):
        await say(manned, name, one.id)
    manned.later()
    async with manned.store.writing() as tx:
        await withdraw(
            tx, manned.configuration, NODE, [one.id], reason="wrong", by="mari", now=manned.now, key=where
        )
    assert await let_in(manned) == set()
    await say(manned, "anna", one.id, key=None)
    await say(manned, None, one.id, key=None)
    assert await let_in(manned) == set()
    await say(manned, "mari", one.id)
    assert await let_in(manned) == {one.version}


async def test_a_lower_tlp_is_a_new_version_to_approve(manned):
    one = await made(manned, tlp="amber")
    for name in ("mari", "olev"):
        await say(manned, name, one.id)
    manned.later()
    async with manned.store.writing() as tx:
        await schedule.downgrade(
            tx, manned.configuration, NODE, [one.id], level=Tlp.CLEAR, by="mari", now=manned.now
        )
    assert await let_in(manned) == {one.version}


async def later(scene, name, *ids, key="c"):
    scene.later()
    async with scene.store.writing() as tx:
        due = scene.now + 3_600_000_000
        by = await parties.party_by_name(tx, name) if name else None
        await schedule.publish_later(
            tx, scene.configuration, NODE, ids, due=due, by=name or "login", now=scene.now, key=key,
            person=Person(by.id, name) if by else None,
        )  # fmt: skip


@pytest.fixture
async def timed(manned, monkeypatch):
    """The scene on a clock that the store reads too, and that is trusted."""
    monkeypatch.setattr(manned.store, "_clock", lambda: manned.now, raising=False)

    async def trusted(tx, host=None):
        return ""

    monkeypatch.setattr(schedule, "clock_trouble", trusted)
    return manned


async def test_what_two_persons_planned_is_let_in_when_the_second_moment_has_come(timed):
    one = await made(timed)
    await later(timed, "mari", one.id)
    timed.later(minutes=10)
    await later(timed, "olev", one.id)
    assert await let_in(timed) == set()
    timed.clock += timedelta(minutes=55)
    assert await schedule.carry_out_due(timed.store, NODE) == 1
    found = await timed.explain(one.id, "c")
    assert (found.stands, found.approvals.by) == (None, ("mari",))
    timed.clock += timedelta(minutes=10)
    assert await schedule.carry_out_due(timed.store, NODE) == 1
    assert await let_in(timed) == {one.version}


async def test_nobody_in_particular_plans_no_approval(timed):
    one = await made(timed)
    with pytest.raises(Refused, match="say who you are"):
        await later(timed, None, one.id)


async def test_what_was_let_in_before_leaves_when_approvals_are_asked_for_and_the_plan_says_so(manned):
    await manned.apply({**TWO, "c": {"readers": ["acme"]}}, RULES)
    one = await made(manned)
    await manned.publish(one.id, follow=True)
    assert await let_in(manned) == {one.version}
    plan = await manned.plan(TWO, RULES)
    assert plan.taken_away
    await manned.apply(TWO, RULES, confirmed=plan.taken_away)
    assert await let_in(manned) == set()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"approvals": 2, "release": "automatic"}, "given by persons"),
        ({"approvals": 2, "direct": True}, "takes no approvals"),
        ({"approvals": 0}, "greater than or equal to 1"),
        ({"approvals": 6}, "less than or equal to 5"),
        ({"approvals": "2"}, "integer"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(BadFile, match=said):
        read_configuration(scenery.files({"c": {"readers": ["acme"]} | settings}, {"c": ALLOW_ALL_OURS}))


async def test_a_person_is_who_shows_that_accounts_token(manned):
    async with manned.store.writing() as tx:
        tokens = {}
        for name in ("mari", "jaan", "acme", "beta"):
            party = await parties.party_by_name(tx, name)
            tokens[name] = await accounts.make_token(tx, party.id, manned.now)
    async with manned.store.reading() as tx:
        assert (await prove(tx, manned.configuration, "mari", f" {tokens['mari']}\n")).name == "mari"
        others = [
            (name, tokens.get(name, ""), "no account with role") for name in ("jaan", "acme", "beta", "olga")
        ]
        rows = [("mari", tokens["jaan"], "no valid token"), ("mari", "", "no valid token"), *others]
        for name, token, said in rows:
            with pytest.raises(NotAllowed, match=said):
                await prove(tx, manned.configuration, name, token)
    async with manned.store.writing() as tx:
        mari = await parties.party_by_name(tx, "mari")
        await accounts.revoke_tokens(tx, mari.id, manned.now)
    async with manned.store.reading() as tx:
        with pytest.raises(NotAllowed, match="no valid token"):
            await prove(tx, manned.configuration, "mari", tokens["mari"])
