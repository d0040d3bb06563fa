"""Less is never more: another marking, or one reader fewer for whom something is allowed, never shows more.

Cases are drawn from a seed; `TOCSIN_TEST_CASES=50000` takes more of them. A failure names its number.
"""

import random
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

from extent import SEED, extent
from graphs import World, make_world
from tocsin.policy.attributes import Provenance
from tocsin.policy.configuration import Configuration, read_configuration
from tocsin.policy.decide import Precedents, counts_as, decide, decide_creator
from tocsin.policy.decision import Copy, Decision, Whole
from tocsin.stix.markings import TLP2

CASES = extent("CASES", ordinary=1_000, full=50_000)
_BY_TLP = ("tlp", "marked")


def shows(decision: Decision) -> tuple[int, frozenset[str], frozenset[str]]:
    """Whole above copy above nothing; of two copies, what one hides and keeps."""
    match decision:
        case Whole():
            return 2, frozenset(), frozenset()
        case Copy(groups=groups, keep=keep):
            return 1, groups, keep
        case _:
            return 0, frozenset(), frozenset()


def shows_more(one: Decision, other: Decision) -> bool:
    """Whether the first decision shows something that the second does not."""
    (level, groups, keep), (level2, groups2, keep2) = shows(one), shows(other)
    if level != level2:
        return level > level2
    return level == 1 and not (groups >= groups2 and keep <= keep2)


@lru_cache(maxsize=200)
def _drawn(block: int) -> tuple[World, Configuration]:
    world = make_world(f"{SEED}/monotonicity/{block}", [0])
    return world, read_configuration(world.files)


def _without_tlp(world: World) -> World:
    """Rules that ask for no TLP: one that allows by marking means what it says."""
    policies = {}
    for key, rules in world.policies.items():
        policies[key] = [
            rule
            for rule in rules
            if not {*rule["match"]} & {*_BY_TLP} and "object.tlp" not in rule.get("when", "")
        ]
    return replace(world, policies=policies)


def _cases(world: World, configuration: Configuration, dice: random.Random) -> Any:
    told = dice.choice(list(world.told()))
    key = dice.choice(list(world.policies))
    posted = told.by in world.settings["collections"][key]["writers"] and dice.random() < 0.5
    provenance = Provenance(told.by, posted, "", told.by == "ours", told.hops)
    collection = configuration.settings.collections[key]
    return told.value, provenance, collection, configuration.policy_of(key), configuration.readers(key)


def test_another_marking_never_shows_more():
    looked: Counter[bool] = Counter()
    for block in range(0, CASES, 40):
        world, _ = _drawn(block)
        world = _without_tlp(world)
        configuration = read_configuration(world.files)
        for number in range(block, min(block + 40, CASES)):
            dice = random.Random(f"{SEED}/{number}")
            value, provenance, collection, policy, readers = _cases(world, configuration, dice)
            marked = dict(value)
            strange = f"marking-definition--6f0a1b2c-0000-4000-8000-{dice.getrandbits(48):012x}"
            match dice.randrange(3):
                case 0 if value.get("object_marking_refs"):  # the first marking says more than silence did
                    marked["object_marking_refs"] = [*value["object_marking_refs"], TLP2[dice.choice(list(TLP2))]]
                case 1 if value["type"] not in ("marking-definition", "extension-definition"):
                    marked["granular_markings"] = [
                        {"selectors": ["type"], "marking_ref": TLP2[dice.choice(list(TLP2))]}
                    ]
                case _:
                    marked["object_marking_refs"] = [*value.get("object_marking_refs", ()), strange]
            for judge in (decide, decide_creator):
                before = judge(policy, collection, value, provenance, readers)
                after = judge(policy, collection, marked, provenance, readers)
                assert not shows_more(after, before), f"case {number} of seed {SEED}: {before} then {after}"
                looked[shows(before)[0] > shows(after)[0]] += 1
            assert counts_as(collection, marked, provenance) >= counts_as(collection, value, provenance)
    assert looked[True] > 0


def test_a_rule_that_allows_for_fewer_readers_never_shows_more():
    """A reader who is taken out of what an `allow` rule speaks of takes nothing in."""
    looked: Counter[bool] = Counter()
    for block in range(0, CASES, 40):
        world, configuration = _drawn(block)
        for number in range(block, min(block + 40, CASES)):
            dice = random.Random(f"{SEED}/{number}")
            value, provenance, collection, policy, readers = _cases(world, configuration, dice)
            narrowed, rules = False, []
            for rule in policy.rules:
                match = dict(rule.match)
                for name in ("readers_in", "readers_kind", "readers_sectors", "readers_communities"):
                    if rule.then == "allow" and name in match and not narrowed:
                        match[name] = match[name][1:]
                        narrowed = True
                rules.append(replace(rule, match=match))
            if not narrowed:  # or the rule that allows is gone for everybody
                allowing = [rule for rule in policy.rules if rule.then == "allow"]
                rules = [rule for rule in policy.rules if rule is not dice.choice(allowing)] if allowing else rules
            fewer = replace(policy, rules=tuple(rules))
            before = decide(policy, collection, value, provenance, readers)
            after = decide(fewer, collection, value, provenance, readers)
            assert not shows_more(after, before), f"case {number} of seed {SEED}: {before} then {after}"
            looked[shows(before)[0] > shows(after)[0]] += 1
    assert looked[True] > 0


def test_another_rule_that_denies_or_redacts_never_shows_more():
    for block in range(0, CASES, 40):
        world, configuration = _drawn(block)
        others = [
            rule for key in world.policies for rule in configuration.policy_of(key).rules if rule.then != "allow"
        ]
        for number in range(block, min(block + 40, CASES)):
            dice = random.Random(f"{SEED}/{number}")
            value, provenance, collection, policy, readers = _cases(world, configuration, dice)
            if not others:
                continue
            more = replace(policy, rules=(*policy.rules, dice.choice(others)))
            before = decide(policy, collection, value, provenance, readers)
            after = decide(more, collection, value, provenance, readers)
            assert not shows_more(after, before), f"case {number} of seed {SEED}: {before} then {after}"


def test_what_was_decided_before_is_decided_alike():
    """The short way over precedents, object after object, is the long way."""
    for block in range(0, CASES, 40):
        world, configuration = _drawn(block)
        for key in world.policies:
            collection, policy = configuration.settings.collections[key], configuration.policy_of(key)
            readers = configuration.readers(key)
            precedents = Precedents(policy, collection, readers)
            for told in world.told():
                provenance = Provenance(told.by, False, "", told.by == "ours", told.hops)
                long_way = decide(policy, collection, told.value, provenance, readers)
                assert precedents.decide(told.value, provenance) == long_way, f"{told.id} of {world.seed}"
