"""Naive: what stands in each collection, told a second time: from the rules of the design, not from the code.

No database, no log, no cache, no waves: after each step everything is judged anew from all that was told so far.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from graphs import IDENTITY, Step, Told, World
from tocsin.stix.effects import EXTENSION_CREATOR, EXTENSION_ID
from tocsin.stix.objects import make_object

LEVELS = ("clear", "green", "amber", "amber+strict", "red")
TLP = {"94868c89": 0, "bab4a63c": 1, "55d920b0": 2, "939a9414": 3, "e828b379": 4}
TLP |= {"613f2e26": 0, "34098fce": 1, "f88d31f6": 2, "5e57c739": 4}
SPEAKING = ("note", "opinion", "report", "grouping")
DEFINITIONS = ("marking-definition", "extension-definition")
TABLE = json.loads((Path(__file__).parents[2] / "extensions/effects/redaction-groups.json").read_text())["types"]
SIDES = {"victim": "victim", "observable": "victim", "reporter": "reporter", "attacker": "attacker"}


class Standing(NamedTuple):
    """How one account stands: `whole`, `copy` without groups, `closed` (a copy without references), or `stuck`."""

    told: Told
    into: str
    form: str
    groups: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    free: bool = False  # by no rule, but because something of the same bringer names it as its creator
    kept: bool = False  # a rule in error recalls nothing


@dataclass
class Naive:
    world: World
    excused: frozenset[tuple[str, str]] = frozenset()  # (collection, id) of which no valid copy can be made
    words: list[tuple[Told, str]] = field(default_factory=list)
    published: dict[tuple[str, str], tuple[dict[str, str], bool]] = field(default_factory=dict)
    stands: dict[str, dict[str, Standing]] = field(default_factory=dict)
    decided: dict[Any, Standing | None] = field(default_factory=dict)  # once for each, for they are pure

    def step(self, step: Step) -> None:
        self.words += [(told, step.where if step.what == "post" else "") for told in step.told]
        for incident in step.ids:
            company = sorted((told.version, told.id) for told, _ in self.words if told.incident == incident)
            self.published[incident, step.where] = ({id_: version for version, id_ in company}, step.follow)
        self.stands = {key: self.settle(key) for key in self.world.policies}
        if step.what == "post":  # what a collection does not take is not kept
            gone = {told.id for told in step.told} - self.stands[step.where].keys()
            self.words = [one for one in self.words if one[0].id not in gone or one[1] != step.where]
            self.stands = {key: self.settle(key) for key in self.world.policies}

    def settle(self, key: str) -> dict[str, Standing]:
        """The largest set that may stand together. Who is next is heard only where the first comes to nothing."""
        accounts = self.accounts(key)
        options = {id_: self.options(key, told, accounts) for id_, told in accounts.items()}
        while True:
            state = {id_: found[0] for id_, found in options.items() if found}
            changed = True
            while changed:
                changed, reached = False, founded(state)
                for id_, one in list(state.items()):
                    lowered = self.lowered(key, one, state) if id_ in reached else None
                    if lowered != one:
                        changed = True
                        state |= {id_: lowered} if lowered else {}
                        if lowered is None:
                            del state[id_]
            again = [id_ for id_, found in options.items() if id_ not in state and len(found) > 1]
            if not again:
                return state
            options |= {id_: options[id_][1:] for id_ in again}

    def accounts(self, key: str) -> dict[str, list[tuple[Told, str]]]:
        """By id, each source's newest version that a person, if it is ours, let into this collection."""
        newest: dict[tuple[str, str, str], tuple[Told, str]] = {}
        for told, into in self.words:
            before = newest.get((told.id, told.by, into))
            if self.let_in(told, key) and (before is None or told.version >= before[0].version):
                newest[told.id, told.by, into] = (told, into)
        found: dict[str, list[tuple[Told, str]]] = {}
        for told, into in newest.values():
            found.setdefault(told.id, []).append((told, into))
        return found

    def let_in(self, told: Told, key: str) -> bool:
        automatic = self.world.settings["collections"][key]["release"] == "automatic"
        if told.by != "ours" or told.value["type"] in DEFINITIONS or automatic:
            return True
        said = self.published.get((told.incident, key)) or self.published.get((told.incident, ""))
        return said is not None and (said[1] or (told.id in said[0] and told.version <= said[0][told.id]))

    def options(self, key: str, told: list[tuple[Told, str]], accounts: Mapping[str, Any]) -> list[Standing]:
        readers, hops = self.world.settings["collections"][key]["readers"], self.world.settings["node"]["max_hops"]
        found = []
        for one, into in told:
            away = {other.by for other, _ in told} == set(readers) and into != key and len(set(readers)) == 1
            if away or (one.by in self.world.settings["peers"] and one.hops + 1 > hops):
                continue
            decided = self.decide(key, one, into) or (
                self.decide(key, one, into, free=True) if one.value["type"] == "identity" else None
            )
            if decided is not None:
                found.append(self.following(key, decided, accounts))
        rest = [one for one in found if one.form != "stuck"]
        before = self.stands.get(key, {}).get(told[0][0].id)
        if found and (before or not rest) and len(rest) < len(found):  # an error recalls nothing, and keeps out
            return [before._replace(kept=True, free=False)] if before else []
        if not told[0][0].version:  # of an observable, whoever gave it before ourselves
            return sorted(rest, key=lambda one: (one.told.by == "ours", one.into != key))
        # of two contents of one version what was posted here, then the lower hash
        rest.sort(key=lambda one: (one.into != key, hash_of(one.told.value)) if len(rest) > 1 else ())
        rest.sort(key=lambda one: one.told.version, reverse=True)
        return sorted(rest, key=lambda one: (one.told.by != "ours", one.form == "copy" and one.told.by != "ours"))

    def following(self, key: str, one: Standing, accounts: Mapping[str, Any]) -> Standing:
        """What was made with an incident is redacted as that is, and stuck where that is."""
        leading = [told for told, _ in accounts.get(one.told.incident, ()) if told.by == "ours"]
        follows = leading and one.told.id != one.told.incident and one.told.value["type"] not in DEFINITIONS
        led = self.decide(key, leading[0], "") if follows else None
        if led is None or led.form == "whole" or one.form == "stuck":
            return one
        if led.form == "stuck" or one.form == "whole":
            return one._replace(form=led.form, groups=led.groups, keep=led.keep)
        return one._replace(groups=one.groups | led.groups, keep=one.keep & led.keep)

    def decide(self, key: str, told: Told, into: str, *, free: bool = False) -> Standing | None:
        case = (key, id(told), into, free)
        if case not in self.decided:
            self.decided[case] = self.judge(key, told, into, free=free)
        return self.decided[case]

    def judge(self, key: str, told: Told, into: str, *, free: bool) -> Standing | None:
        collection, value = self.world.settings["collections"][key], told.value
        marked, clearance = level_of(value), LEVELS.index(collection["clearance"])
        ours_or_posted = told.by == "ours" or into == key
        level = LEVELS.index(collection["unmarked"]) if marked is None else marked
        if value["type"] in DEFINITIONS:
            return Standing(told, into, "whole", free=into != key) if (marked or 0) <= clearance else None
        if marked is None and not ours_or_posted:
            level = max(level, 3)
        said: dict[str, list[Any]] = {"allow": [], "deny": [], "redact": [], "error": []}
        facts = facts_of(told, into == key, LEVELS[level], marked is not None)
        readers = [{"name": n} | self.party(n) for n in collection["readers"]]
        for rule in self.world.policies[key]:
            if rule["then"] == "allow" and "origin" not in rule["match"] and not ours_or_posted:
                continue
            if all(holds(name, wanted, facts, readers) for name, wanted in rule["match"].items()):
                met = EXPRESSIONS[rule["when"]](facts, value, readers) if "when" in rule else True
                said["error" if met is None else rule["then"]] += [rule] if met is not False else []
        could = free or said["allow"] or any(rule["then"] == "allow" for rule in said["error"])
        if level > clearance or said["deny"] or not could:
            return None
        if said["error"]:
            return Standing(told, into, "stuck", free=free)
        if not said["redact"]:
            return Standing(told, into, "whole", free=free)
        groups = frozenset(group for rule in said["redact"] for group in rule["redact"])
        keep = frozenset.intersection(*(frozenset(rule.get("keep", ())) for rule in said["redact"])) - groups
        return None if free else Standing(told, into, "copy", groups, keep)

    def party(self, name: str) -> Mapping[str, Any]:
        return self.world.settings["accounts"].get(name) or self.world.settings["peers"][name]

    def lowered(self, key: str, one: Standing, state: Mapping[str, Standing]) -> Standing | None:
        value, kind = one.told.value, one.told.value["type"]
        if one.kept:
            return one
        if one.told.by == "ours" and kind not in DEFINITIONS and one.told.incident not in state:
            return None
        here = {id_ for id_, other in state.items() if other.form == "whole"} | {IDENTITY, EXTENSION_CREATOR["id"]}
        targets = {name for name in names(value) if name.partition("--")[0] not in DEFINITIONS} - {one.told.id}
        if one.form == "whole" and one.into != key and not targets <= here:
            one = one._replace(form="closed")
            if one.told.by != "ours" or kind in DEFINITIONS:
                return None
        if one.form in ("copy", "closed") and not self.copyable(key, one, {*state, *here}):
            return None
        return one

    def copyable(self, key: str, one: Standing, here: set[str]) -> bool:
        value, kind = one.told.value, str(one.told.value["type"])
        if (key, one.told.id) in self.excused or kind not in TABLE or kind == "language-content":
            return False  # a translation says what it translates
        table, hidden = (
            TABLE[kind],
            one.groups | ({"victim-observables"} if "victim" in one.groups else frozenset()),
        )
        needs = [
            name for name in table["required"] if name not in ("type", "spec_version", "id", "created", "modified")
        ]
        if one.form == "closed":
            if kind in SPEAKING and not all(shown_refs([ref], here) for ref in value["object_refs"]):
                return False  # its words are about what is hidden too
            return all(shown_refs(value[name], here) for name in needs if name.endswith(("_ref", "_refs")))
        withheld = table.get("withheld", {})
        by_side = withheld.get("side", {})
        against = {*withheld.get("always", ()), *by_side.get(SIDES.get(one.told.role), by_side.get("unknown", ()))}
        against |= set(withheld.get("by", {}).get("relationship_type", {}).get(value.get("relationship_type"), ()))
        if against & hidden or value.get("granular_markings"):
            return False
        return all(
            name in table.get("stand_ins", ())
            or (kind, name) == ("incident", "name")
            or self.shows(table, kind, name, value.get(name), hidden, one.keep, here)
            for name in needs
        )

    def shows(self, table: Any, kind: str, name: str, said: Any, hidden: Any, keep: Any, here: set[str]) -> bool:
        given = table["coded"].get(name) or table["free"][name]
        if given.get("kind") in ("time", None) or not hidden.isdisjoint(given["groups"]):
            return given.get("kind") == "time" or (
                given.get("keep") in keep and hidden.isdisjoint(given["groups"])
            )
        if given["kind"] in ("ref", "refs"):
            return shown_refs(said, here)
        return (
            given["kind"] != "code" or table["extends"] == "observable" or not re.search("[0-9a-f]{32}", str(said))
        )


def hash_of(value: Mapping[str, Any]) -> str:
    if id(value) not in _HASHES or _HASHES[id(value)][0] is not value:
        _HASHES[id(value)] = (value, make_object(value).sha256)
    return _HASHES[id(value)][1]


_HASHES: dict[int, tuple[Mapping[str, Any], str]] = {}


def founded(state: Mapping[str, Standing]) -> set[str]:
    """What stands by a rule; what needs none only beside what names it, a creator beside what its bringer says."""
    reached = {id_ for id_, one in state.items() if not one.free}
    wave = reached
    while wave:
        named = {
            name for id_ in wave for name in names(state[id_].told.value) if name.partition("--")[0] in DEFINITIONS
        }
        said = {
            (state[id_].told.value.get("created_by_ref"), state[id_].told.by)
            for id_ in wave
            if state[id_].form == "whole"
        }
        wave = {i for i, one in state.items() if i in named or (i, one.told.by) in said} - reached
        reached = reached | wave
    return reached


def names(value: Any) -> frozenset[str]:
    found = _NAMES.get(id(value))
    if found is None or found[0] is not value:
        found = _NAMES[id(value)] = (value, frozenset(_names(value)))
    return found[1]


_NAMES: dict[int, tuple[Any, frozenset[str]]] = {}


def _names(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from [key] if key.startswith("extension-definition--") else []
            yield from _names(member, key)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item, name)
    elif isinstance(value, str) and (name.endswith(("_ref", "_refs")) or name == "cluster"):
        yield value


def shown_refs(said: Any, here: set[str]) -> bool:
    targets = said if isinstance(said, list) else [said]
    return any(target in here or target.partition("--")[0] in DEFINITIONS for target in targets)


def level_of(value: Mapping[str, Any]) -> int | None:
    refs = value.get("object_marking_refs", [])
    if value.get("granular_markings") or any(ref[20:28] not in TLP for ref in refs):
        return 4
    return max((TLP[ref[20:28]] for ref in refs), default=None)


def facts_of(told: Told, posted_here: bool, tlp: str, marked: bool) -> dict[str, Any]:
    said = told.value.get("extensions", {}).get(EXTENSION_ID, {})
    return {
        "type": told.value["type"], "origin": told.by, "tlp": tlp, "marked": marked, "hops": told.hops,
        "authentic": told.by == "ours", "posted_here": posted_here, "confidence": told.value.get("confidence"),
        "stage": said.get("stage", ""), "means": said.get("means", []), "countries": said.get("countries", []),
        "effects": [one["effect"] for one in said.get("effects", [])], "sectors": said.get("sectors", []),
        "trans_border": said.get("trans_border"),
    }  # fmt: skip


def holds(name: str, wanted: Any, facts: Mapping[str, Any], readers: list[dict[str, Any]]) -> bool:
    words = wanted if isinstance(wanted, list) else [wanted]
    of_readers = {
        "readers_in": lambda one: one["country"] in words,
        "readers_outside": lambda one: one["country"] not in words,
        "readers_kind": lambda one: one["kind"] in words,
        "readers_sectors": lambda one: any(lies_in(sector, outer) for sector in one["sectors"] for outer in words),
        "readers_communities": lambda one: any(word in one["communities"] for word in words),
    }
    if name in of_readers:
        return any(of_readers[name](one) for one in readers)
    given = facts[name]
    if isinstance(wanted, dict):
        return given is not None and wanted.get("at_least", 0) <= given <= wanted.get("at_most", given)
    if isinstance(wanted, bool):
        return bool(given) is wanted if isinstance(given, list) else given is wanted
    if name == "sectors":
        return any(lies_in(sector, outer) for sector in given for outer in words)
    return (
        "any" in words
        if name == "origin" and "any" in words
        else any(word in words for word in (given if isinstance(given, list) else [given]))
    )


def lies_in(sector: str, outer: str) -> bool:
    return sector == outer or sector.startswith(outer if outer.startswith("naics:") else f"{outer}/")


# the expressions of `graphs`, in the order in which they stand there; None is an error
EXPRESSIONS = {
    "size(object.countries) > 1": lambda facts, value, readers: len(facts["countries"]) > 1,
    "object.tlp == 'amber' || object.tlp == 'green'": lambda facts, value, readers: (
        facts["tlp"] in ("amber", "green")
    ),
    "'labels' in stix": lambda facts, value, readers: "labels" in value,
    "readers.exists(r, r.country != 'EE')": lambda f, value, readers: any(r["country"] != "EE" for r in readers),
    "object.type != 'incident' && object.origin == 'ours'": lambda facts, value, readers: (
        facts["type"] != "incident" and facts["origin"] == "ours"
    ),
    "size(stix.labels) > 0": lambda facts, value, readers: len(value["labels"]) > 0 if "labels" in value else None,
    "size(readers) > 1": lambda facts, value, readers: len(readers) > 1,
}
