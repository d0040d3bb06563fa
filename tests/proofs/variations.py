"""Variations: what else could have happened in a world without a reader's being entitled to know.

A timeline is a list of (second, step). A variation adds, takes away or changes what the naive opinion says the
reader may not see, and is given only where that opinion finds his view the same, moment by moment.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphs import IDENTITY, Step, Told, World
from naive import DEFINITIONS, Naive, Standing
from stix_samples import planted, strings
from tocsin.stix.markings import TLP2
from traces import shown

Timeline = list[tuple[int, Step]]
View = list[tuple[int, Any]]
_MINUTE = 60


def timeline(world: World) -> Timeline:
    return [(number * _MINUTE, step) for number, step in enumerate(world.steps, 1)]


def readable(world: World, name: str) -> list[str]:
    return [key for key, one in world.settings["collections"].items() if name in one["readers"]]


def view(world: World, happened: Timeline, keys: Sequence[str]) -> View:
    """What readers of the collections may see, whenever it changes."""
    naive, seen, first = Naive(world), [], {}
    for at, step in happened:
        naive.step(step)
        for told in step.told:
            first.setdefault(told.id, at)  # which dates what has no version of its own
        now = {
            (key, id_, "" if one.told.version else first[id_], _sight(naive.stands[key], one))
            for key in keys
            for id_, one in naive.stands[key].items()
        }
        if not seen or seen[-1][1] != now:
            seen.append((at, now))
    return seen


def _sight(state: Mapping[str, Standing], one: Standing) -> str:
    """All that a reader may find of one object."""
    value: Any = one.told.value
    if one.form != "whole":
        kind = str(value["type"])
        for path in list(strings(value)):
            text, dotted = _at(value, path), _dotted(path)
            if one.form == "copy" and _is_canary(text) and not shown(kind, dotted, one.groups, one.keep):
                value = planted(value, path, text[:10] if text.startswith("20") else "*")
            elif "--" in text and text != one.told.id:
                value = planted(value, path, f"{text} {state[text].form if text in state else 'out'}")
    return json.dumps([one.form, sorted(one.groups), sorted(one.keep), value], sort_keys=True)


def _is_canary(text: str) -> bool:
    return (text.startswith("20") and text.endswith("Z")) or sum(sign in "0123456789abcdef" for sign in text) > 31


def variation(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline | None:
    """Another past with the same view for `name`; None where the dice found none."""
    keys = readable(world, name)
    before = view(world, happened, keys)
    other = list(happened)
    for change in dice.sample(
        [_change, _change, _take_away, _add, _add, _say_again, _know_already], dice.randint(1, 3)
    ):
        trial = change(world, donor, other, name, dice)
        if trial != other and view(world, trial, keys) == before:
            other = trial
    return None if other == happened else other


# --- what may be otherwise -----------------------------------------------------------------------------------


def _change(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline:
    """One object says something else in a text, or is marked otherwise."""
    told = _somebodys(happened, name, dice)
    if told is None:
        return happened
    value: Any = told.value
    paths = [path for path in strings(value) if len(_at(value, path)) > 31 and "--" not in _at(value, path)]
    if paths and dice.random() < 0.7:
        path = dice.choice(paths)
        text = _at(value, path)
        value = planted(value, path, text.translate(str.maketrans("0123456789abcdef", "".join(_shuffled(dice)))))
    else:
        value = dict(value) | {"object_marking_refs": [TLP2[dice.choice(list(TLP2))]]}
        value.pop("granular_markings", None)
    return _instead(happened, told, replace(told, value=value))


def _shuffled(dice: random.Random) -> list[str]:
    return dice.sample("0123456789abcdef", 16)


def _take_away(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline:
    told = _somebodys(happened, name, dice)
    if told is None or (told.by == "ours" and told.id == told.incident):
        return happened
    return _instead(happened, told, None)


def _add(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline:
    """Something else came meanwhile: to other collections, from others, or of ours."""
    more = [step for step in donor.steps if step.by != name and dice.random() < 0.6]
    made = {one.incident for step in more for one in step.told}
    more = [step for step in more if made.issuperset(step.ids)]
    steps = [(dice.randrange(1, len(happened) + 2) * _MINUTE - 30, step) for step in more]
    order = sorted((at for at, _ in steps))
    return _sorted([*happened, *zip(order, (step for _, step in steps), strict=True)])


def _say_again(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline:
    """Somebody else brings the same."""
    telling = [one for one in happened if one[1].told]
    if not telling:
        return happened
    at, step = dice.choice(telling)
    told = dice.choice(step.told)
    peer = dice.choice(["beta", "gamma"])
    keys = [key for key, one in world.settings["collections"].items() if "rival" in one["writers"]]
    if told.by in ("ours", peer) or told.value.get("created_by_ref") == IDENTITY:
        return happened
    if keys and dice.random() < 0.5 and told.by != "rival":
        again = Step("post", "rival", (Told(told.value, "rival"),), dice.choice(keys))
    else:
        again = Step("receive", peer, (Told(told.value, peer, 1),))
    return _sorted([*happened, (at + dice.choice([-30, 30]), again)])


def _know_already(world: World, donor: World, happened: Timeline, name: str, dice: random.Random) -> Timeline:
    """An incident of ours that nobody published has an observable that others speak of too."""
    spoken = [one for _, step in happened for one in step.told if "created" not in one.value and one.by != "ours"]
    incidents = [one for step in donor.steps for one in step.told if one.by == "ours" and one.id == one.incident]
    if not spoken or not incidents:
        return happened
    incident, theirs = dice.choice(incidents), dice.choice(spoken)
    role = dice.choice(["victim", "observable", "attacker", "reporter"])
    made = Step("make", "ours", (incident, Told(theirs.value, "ours", 0, incident.id, role)))
    return _sorted([*happened, (dice.randrange(1, len(happened) + 2) * _MINUTE - 30, made)])


def _somebodys(happened: Timeline, name: str, dice: random.Random) -> Told | None:
    """An object that somebody else than the reader told of."""
    found = [
        one for _, step in happened for one in step.told if one.by != name and one.value["type"] not in DEFINITIONS
    ]
    return dice.choice(found) if found else None


def _instead(happened: Timeline, told: Told, other: Told | None) -> Timeline:
    def steps() -> Iterator[tuple[int, Step]]:
        for at, step in happened:
            kept = [
                one if (one.id, one.version, one.by) != (told.id, told.version, told.by) else other
                for one in step.told
            ]
            yield at, replace(step, told=tuple(one for one in kept if one is not None))

    return [(at, step) for at, step in steps() if step.told or step.ids]


def _sorted(happened: Timeline) -> Timeline:
    return sorted(happened, key=lambda one: one[0])


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _dotted(path: tuple[str | int, ...]) -> str:
    found = ""
    for step in path:
        found += "[]" if isinstance(step, int) else f".{step}" if found else step
    return found
