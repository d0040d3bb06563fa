"""Graphs: seeded worlds of STIX objects with a canary in every text, time and id, the policies before which they
come, and the steps by which they arrive.

A world is drawn from a seed alone: `make_world(seed, [0, 1, 2])` has three graphs, and the second of them is the
same as in `make_world(seed, [1])`. Nothing here knows how the node judges.

A canary is 128 bits: 32 hex digits in a text, the UUID of an object, or a time with a number of microseconds of
its own. `World.canaries` says of each where it was put.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from stix_samples import OBSERVABLES, TYPES, UNKNOWN_EXTENSION, full_object, planted, strings
from tocsin.stix.effects import (
    ACTOR_TYPES,
    DISRUPTIVE,
    EXPLOITIVE,
    EXTENSION_ID,
    INCIDENT_CORE_ID,
    MEANS,
    MOTIVES,
    PUBLIC_CORE,
    ROOT_CAUSES,
    STAGES,
)
from tocsin.stix.markings import TLP1, TLP2
from tocsin.stix.objects import keyed_id
from tocsin.stix.validate import problems

SECRET = b"s" * 32  # of the node that judges
IDENTITY = keyed_id(SECRET, "identity", "node")
PEERS, WRITERS, READERS = ("beta", "gamma"), ("writer", "rival"), ("acme", "beta", "gamma", "press", "writer")
COUNTRIES = ("EE", "LV", "LT", "FI", "DE")
SECTORS = ("naics:52", "naics:522110", "naics:62", "nis2:energy", "nis2:energy/oil", "nis2:health")
GROUPS = [
    "victim",
    "reporter",
    "narrative",
    "references",
    "attribution",
    "victim-observables",
    "attacker-observables",
    "exact-times",
    "severity-inputs",
    "answers",
]
KEEPS = [
    "name",
    "description",
    "labels",
    "external_references",
    "unknown-properties",
    "unknown-extensions",
    "exact-times",
]
ROLES = ("victim", "observable", "reporter", "attacker", "other")
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_FOREIGN = "extension-definition--5b6c7d8e-0000-4000-8000-00000000000"


class Place(NamedTuple):
    """Where a canary stands: the object, its version, and the path in the words of the redaction table."""

    object_id: str
    version: str
    path: str


@dataclass(frozen=True, slots=True)
class Told:
    """One object version on somebody's word. `incident` and `role`: the company of ours it was made in."""

    value: Mapping[str, Any]
    by: str  # "ours", a peer or an account
    hops: int = 0
    incident: str = ""
    role: str = ""
    graph: int = 0

    @property
    def id(self) -> str:
        return str(self.value["id"])

    @property
    def version(self) -> str:
        return str(self.value.get("modified", self.value.get("created", "")))


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one moment: `receive` from a peer, `make` ours, `publish` incidents, `post` by an account.

    `where` is the key of a collection: for `post` always, for `publish` perhaps. `ids`: the incidents published.
    """

    what: str
    by: str
    told: tuple[Told, ...] = ()
    where: str = ""
    ids: tuple[str, ...] = ()
    follow: bool = False


@dataclass
class World:
    """A configuration as plain data, and what happens before it."""

    seed: str
    settings: dict[str, Any]
    policies: dict[str, list[dict[str, Any]]]
    steps: list[Step]
    canaries: dict[str, Place] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """The files of a home. JSON is YAML."""
        policies = {f"policies/{name}.yaml": json.dumps({"rules": rules}) for name, rules in self.policies.items()}
        return {"tocsin.yaml": json.dumps(self.settings)} | policies

    def told(self) -> Iterator[Told]:
        for step in self.steps:
            yield from step.told


def make_world(seed: str, graphs: Sequence[int], *, most: int = 40, collections: int = 3) -> World:
    """The world of a seed with these of its graphs, each of 3 to `most` objects."""
    dice = random.Random(f"{seed}/configuration")
    keys = [f"c{number}" for number in range(collections)]
    world = World(
        seed=seed,
        settings={
            "node": {"name": "CERT Alpha", "country": "EE", "max_hops": dice.choice([1, 2, 3, 3])},
            "accounts": {name: _party(dice) for name in ("acme", "press", *WRITERS)},
            "peers": {name: _party(dice) | {"url": f"https://{name}.example/taxii2/"} for name in PEERS},
            "collections": {key: _collection(dice, key) for key in keys},
        },
        policies={key: _rules(dice) for key in keys},
        steps=[],
    )
    found = [_Graph(world, number, most).draw() for number in graphs]
    for phase in range(len(found[0])):
        merged: dict[tuple[Any, ...], Step] = {}
        for graph in found:
            for step in graph[phase]:
                key = (step.what, step.by, step.where, step.follow)
                before = merged.get(key, Step(step.what, step.by, (), step.where, (), step.follow))
                merged[key] = Step(
                    *key[:2], before.told + step.told, step.where, before.ids + step.ids, step.follow
                )
        world.steps += merged.values()
    return world


# --- the configuration ---------------------------------------------------------------------------------------


def _party(dice: random.Random) -> dict[str, Any]:
    return {
        "kind": dice.choice(["company", "cert", "press"]),
        "country": dice.choice(COUNTRIES),
        "sectors": dice.sample(SECTORS, dice.randint(0, 2)),
        "communities": dice.sample(["north", "south"], dice.randint(0, 1)),
    }


def _collection(dice: random.Random, key: str) -> dict[str, Any]:
    number = int(key[1:])
    return {
        "id": f"3f0c4d5e-7a11-4c1e-9b0d-0000000000{number:02d}",
        "title": f"Collection {key}",
        "readers": dice.sample(READERS, dice.randint(1, 3)),
        "writers": dice.sample(WRITERS, dice.randint(0, 2)),
        "clearance": dice.choice(["clear", "green", "amber", "amber", "amber+strict", "red"]),
        "unmarked": dice.choice(["clear", "green", "amber", "amber+strict", "amber+strict"]),
        "release": dice.choice(["by-hand", "automatic"]),
        "policy": key,
    }


def _rules(dice: random.Random) -> list[dict[str, Any]]:
    first = _rule(dice, 0, "allow") if dice.random() < 0.3 else _generous(dice)
    return [first, *(_rule(dice, number, None) for number in range(1, dice.randint(1, 5)))]


def _generous(dice: random.Random) -> dict[str, Any]:
    origin = dice.choice(["any", "any", "ours", ["ours", "beta"], ["ours", "writer", "gamma"]])
    return {"id": "r0", "match": {"origin": origin}, "then": "allow", "reason": "whatever comes"}


def _rule(dice: random.Random, number: int, then: str | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": f"r{number}", "then": then or dice.choice(["allow", "deny", "redact", "redact"])}
    rule["match"] = dict(_condition(dice) for _ in range(dice.randint(1, 2)))
    if rule["then"] == "allow" and dice.random() < 0.4:
        rule["match"]["origin"] = dice.choice(["any", "ours", "beta", ["gamma", "writer"]])
    if dice.random() < 0.25:
        rule["when"] = dice.choice(EXPRESSIONS)
    if rule["then"] == "redact":
        rule["redact"] = dice.sample(GROUPS, dice.randint(1, 3))
        kept = [word for word in dice.sample(KEEPS, dice.randint(0, 3)) if word not in rule["redact"]]
        rule |= {"keep": kept} if kept else {}
    return rule | {"reason": f"rule {number}"}


def _condition(dice: random.Random) -> tuple[str, Any]:
    some = dice.sample
    return dice.choice(
        [
            lambda: ("type", some(TYPES, dice.randint(1, 12))),
            lambda: ("type", some(TYPES, 25)),
            lambda: ("origin", dice.choice(["any", "ours", "beta", "writer"])),
            lambda: ("tlp", some(["clear", "green", "amber", "amber+strict", "red"], dice.randint(1, 3))),
            lambda: ("marked", dice.random() < 0.7),
            lambda: ("authentic", dice.random() < 0.5),
            lambda: ("posted_here", dice.random() < 0.5),
            lambda: ("hops", {"at_most": dice.randint(0, 2)}),
            lambda: ("confidence", {"at_least": dice.choice([1, 50])}),
            lambda: ("stage", some(STAGES, 3)),
            lambda: ("means", some(MEANS, 3)),
            lambda: ("effects", dice.random() < 0.5),
            lambda: ("countries", some(COUNTRIES, 2)),
            lambda: ("sectors", some(SECTORS, 2)),
            lambda: ("trans_border", dice.random() < 0.5),
            lambda: ("readers_outside", some(COUNTRIES, dice.randint(1, 4))),
            lambda: ("readers_in", some(COUNTRIES, dice.randint(1, 3))),
            lambda: ("readers_kind", some(["company", "cert", "press"], 1)),
            lambda: ("readers_sectors", some(SECTORS, 2)),
            lambda: ("readers_communities", ["north"]),
        ]
    )()


# CEL as a policy may say it. The last but one fails where an object has no labels.
EXPRESSIONS = (
    "size(object.countries) > 1",
    "object.tlp == 'amber' || object.tlp == 'green'",
    "'labels' in stix",
    "readers.exists(r, r.country != 'EE')",
    "object.type != 'incident' && object.origin == 'ours'",
    "size(stix.labels) > 0",
    "size(readers) > 1",
)


# --- one graph -----------------------------------------------------------------------------------------------


class _Graph:
    """One graph in the making."""

    def __init__(self, world: World, number: int, most: int) -> None:
        self.world = world
        self.number = number
        self.dice = random.Random(f"{world.seed}/{number}")
        self.size = int(3 + (most - 3) * self.dice.random() ** 2)
        self.lean = self.dice.choice(["ours", "ours", "beta", "writer", "mixed"])
        self.ids: list[str] = []
        self.bringers: dict[str, str] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.ours: tuple[Told, ...] = ()

    def draw(self) -> list[list[Step]]:
        """The steps of each phase."""
        dice = self.dice
        kinds = [dice.choice((*TYPES, "language-content", "incident", "relationship")) for _ in range(self.size)]
        kinds = [
            *kinds,
            "identity",
            *dice.choices(["marking-definition", "extension-definition"], k=dice.randint(0, 2)),
        ]
        self.ids = [f"{kind}--{self._uuid()}" for kind in kinds]
        self.bringers = {id_: self._bringer(id_) for id_ in self.ids}
        if not any(one.startswith("incident--") and by == "ours" for one, by in self.bringers.items()):
            self.bringers = {one: "beta" if by == "ours" else by for one, by in self.bringers.items()}
        for id_ in self._order():
            if (value := self._object(id_)) is not None:
                self.values[id_] = value
        brought = [told for id_ in self.values for told in self._told(id_)]
        late = [told for told in brought if dice.random() < 0.15 and told.by in PEERS]
        first = [
            *self._received([told for told in brought if told not in late]),
            *self._made([told for told in brought if told.by == "ours"]),
        ]
        dice.shuffle(first)
        posts = self._posted([told for told in brought if told.by in WRITERS])
        renewed = self._received(late)
        newer = [self._newer(told) for told in brought if told.by in PEERS and dice.random() < 0.1]
        renewed += self._received([told for told in newer if told is not None])
        renewed += self._made_again([told for told in brought if told.by == "ours"])
        return [first, self._published(), posts, renewed]

    def _uuid(self) -> UUID:
        return UUID(int=self.dice.getrandbits(128), version=4)

    def _order(self) -> list[str]:
        """What is translated before its translation."""
        return sorted(self.ids, key=lambda id_: id_.startswith("language-content--"))

    def _bringer(self, id_: str) -> str:
        mixed = self.dice.choices(["ours", *PEERS, *WRITERS], [5, 2, 1, 2, 1])[0]
        return self.lean if self.lean != "mixed" and self.dice.random() < 0.8 else mixed

    def _told(self, id_: str) -> Iterator[Told]:
        by, value = self.bringers[id_], self.values[id_]
        if by == "ours":
            incidents = [
                one for one in self.values if one.startswith("incident--") and self.bringers[one] == "ours"
            ]
            if incidents:  # else none of them could be made
                incident = id_ if id_ in incidents else self.dice.choice(incidents)
                yield Told(value, by, 0, incident, self.dice.choice(ROLES), self.number)
            return
        yield Told(value, by, self.dice.choice([0, 0, 1, 2, 3]) if by in PEERS else 0, graph=self.number)
        if by in PEERS and self.dice.random() < 0.08 and "modified" in value:
            yield Told(value, next(peer for peer in PEERS if peer != by), 1, graph=self.number)

    def _received(self, told: Sequence[Told]) -> list[Step]:
        return [
            Step("receive", peer, mine) for peer in PEERS if (mine := tuple(one for one in told if one.by == peer))
        ]

    def _made(self, told: Sequence[Told]) -> list[Step]:
        self.ours = tuple(told)
        return [Step("make", "ours", self.ours)] if told else []

    def _made_again(self, told: Sequence[Told]) -> list[Step]:
        """The company of our incidents once more, some of it newer."""
        if not told or self.dice.random() < 0.6:
            return []
        again = tuple(
            (self._newer(one) or one) if self.dice.random() < 0.3 and "modified" in one.value else one
            for one in told
        )
        return [Step("make", "ours", again)]

    def _published(self) -> list[Step]:
        steps = []
        for incident in sorted({one.incident for one in self.ours}):
            if self.dice.random() < 0.75:
                where = self.dice.choice(["", "", *self.world.settings["collections"]])
                steps.append(Step("publish", "ours", (), where, (incident,), self.dice.random() < 0.3))
        return steps

    def _posted(self, told: Sequence[Told]) -> list[Step]:
        steps = []
        for writer in WRITERS:
            keys = [key for key, one in self.world.settings["collections"].items() if writer in one["writers"]]
            mine = tuple(one for one in told if one.by == writer)
            if keys and mine:
                steps.append(Step("post", writer, mine, self.dice.choice(keys)))
        return steps

    def _newer(self, told: Told) -> Told | None:
        """A later version, with texts and perhaps markings of its own."""
        if "modified" not in told.value:
            return None
        value = self._object(told.id, told.value)
        return None if value is None else Told(value, told.by, told.hops, told.incident, told.role, self.number)

    # --- one object ---

    def _object(self, id_: str, before: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        kind = id_.partition("--")[0]
        value = self._draft(kind)
        value["id"] = id_
        if "created" in value:
            value["created"] = before["created"] if before else self._time()
            if "modified" in value:
                value["modified"] = self._time(before["modified"] if before else value["created"])
            value.pop("created_by_ref", None)
            if before is not None:
                value |= {"created_by_ref": before["created_by_ref"]} if "created_by_ref" in before else {}
            elif creator := self._creator(id_):
                value["created_by_ref"] = creator
        self._mark(value)
        self._refer(value)
        self._extend(value)
        for _ in range(8):
            found = problems(value)
            if not found:
                break
            broken = found[0].place.partition(".")[0].partition("[")[0]
            if not broken or broken not in value or broken in ("id", "type"):
                return None
            del value[broken]
        else:
            return None
        version = str(value.get("modified", value.get("created", "")))
        return self._plant(value, version)

    def _draft(self, kind: str) -> dict[str, Any]:
        match kind:
            case "language-content":
                return {"type": kind, "spec_version": "2.1", "created": "", "modified": "", "contents": {"de": {}}}
            case "marking-definition":
                said = {"definition_type": "statement", "definition": {"statement": "text"}, "name": "text"}
                return {"type": kind, "spec_version": "2.1", "created": ""} | said
            case "extension-definition":
                said = {
                    "name": "text",
                    "schema": "text",
                    "version": "1.0.0",
                    "extension_types": ["property-extension"],
                }
                return {"type": kind, "spec_version": "2.1", "created": "", "modified": ""} | said
        whole = _full(kind)
        kept = {"type", "spec_version", "id", "created", "modified"} | _required(kind)
        share = self.dice.choice([0.15, 0.4, 0.8])
        draft = deepcopy({n: v for n, v in whole.items() if n in kept or self.dice.random() < share})
        return draft | ({"confidence": self.dice.randint(0, 100)} if "confidence" in draft else {})

    def _time(self, after: str | None = None) -> str:
        start = EPOCH if after is None else datetime.fromisoformat(after)
        moment = start + timedelta(microseconds=self.dice.randrange(1, 10**13))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace("000Z", "001Z")

    def _creator(self, id_: str) -> str | None:
        by = self.bringers[id_]
        if by == "ours":
            return IDENTITY if self.dice.random() < 0.9 else None
        identities = [one for one in self.ids if one.startswith("identity--") and self.bringers[one] == by]
        return self.dice.choice(identities) if identities and self.dice.random() < 0.4 else None

    def _mark(self, value: dict[str, Any]) -> None:
        dice = self.dice
        value.pop("object_marking_refs", None)
        levels = list(TLP2)
        own = [one for one in self.ids if one.startswith("marking-definition--")]
        match dice.choices(["none", "tlp", "tlp1", "two", "own", "strange", "granular"], [20, 62, 4, 4, 4, 2, 4])[
            0
        ]:
            case "tlp":
                value["object_marking_refs"] = [TLP2[dice.choices(levels, [4, 5, 4, 1, 1])[0]]]
            case "tlp1":
                value["object_marking_refs"] = [dice.choice(list(TLP1.values()))]
            case "two":
                value["object_marking_refs"] = [TLP2[level] for level in dice.sample(levels, 2)]
            case "own" if own and value["type"] != "marking-definition":
                value["object_marking_refs"] = [dice.choice(own), TLP2[levels[0]]]
            case "strange" if value["type"] != "marking-definition":
                value["object_marking_refs"] = [f"marking-definition--{self._uuid()}"]
            case "granular" if value["type"] not in ("marking-definition", "extension-definition"):
                green = TLP2[dice.choice(levels)]
                value["granular_markings"] = [{"selectors": ["type"], "marking_ref": green}]
                if dice.random() < 0.5:
                    value["object_marking_refs"] = [TLP2[levels[0]]]

    def _refer(self, value: dict[str, Any]) -> None:
        """References of the sample go to objects of this graph that fit there, or are left out."""
        kind = str(value["type"])
        for name in [name for name in value if name.endswith(("_ref", "_refs"))]:
            if name in ("created_by_ref", "object_marking_refs"):
                continue
            fitting = [one for one in self.ids if _fits(kind, name, one.partition("--")[0])]
            if self.dice.random() < 0.04:
                fitting = [f"{one.partition('--')[0]}--{self._uuid()}" for one in fitting[:1]]
            if not fitting or (name not in _required(kind) and self.dice.random() < 0.4):
                del value[name]
            elif name.endswith("_refs"):
                value[name] = self.dice.sample(fitting, min(len(fitting), self.dice.randint(1, 3)))
            else:
                value[name] = self.dice.choice(fitting)
        if kind == "language-content":
            self._translate(value)

    def _translate(self, value: dict[str, Any]) -> None:
        """A translation holds what it translates: the canaries of the texts themselves."""
        spoken = [one for one in self.values if isinstance(self.values[one].get("name"), str)]
        target = self.dice.choice(spoken or [one for one in self.ids if one != value["id"]])
        value["object_ref"] = target
        told = self.values[target] if spoken else {}
        texts = {name: f"auf Deutsch: {told[name]}" for name in ("name", "description") if name in told}
        value["contents"] = {"de": texts or {"name": "text"}}

    def _extend(self, value: dict[str, Any]) -> None:
        dice = self.dice
        if value["type"] == "incident" and dice.random() < 0.85:
            extensions = value.setdefault("extensions", {})
            extensions[EXTENSION_ID] = _effects(dice, [one for one in self.ids if one.startswith("incident--")])
            if dice.random() < 0.7:
                extensions[INCIDENT_CORE_ID] = {
                    "extension_type": "property-extension",
                    "determination": "confirmed",
                    "investigation_status": "open",
                }
        definitions = [one for one in self.ids if one.startswith("extension-definition--")]
        if definitions and dice.random() < 0.2 and "extensions" in value:
            extensions = value["extensions"]
            extensions[dice.choice(definitions)] = {"extension_type": "property-extension", "said": "text"}

    def _plant(self, value: dict[str, Any], version: str) -> dict[str, Any]:
        """A canary in every text; the id and the times are canaries already."""
        id_ = str(value["id"])
        note = self.world.canaries
        note[UUID(id_.partition("--")[2]).hex] = Place(id_, version, "id")
        for path in list(strings(value)):
            text = _at(value, path)
            dotted = _dotted(path)
            if text.startswith("20") and text.endswith("Z") and len(text) > 19:
                stamp = text if dotted in ("created", "modified") else self._time(text)
                if dotted not in ("created", "modified") and problems(planted(value, path, stamp)):
                    continue
                value = planted(value, path, stamp)
                if not (dotted == "created" and stamp.lower() in note):
                    note[stamp.lower()] = Place(id_, version, dotted)
            elif form := _form(str(value["type"]), path, text):
                core = f"{self.dice.getrandbits(128):032x}"
                value = planted(value, path, form.format(core) + (f" {text}" if text.startswith("auf ") else ""))
                note[core] = Place(id_, version, dotted)
        return value


def _effects(dice: random.Random, incidents: Sequence[str]) -> dict[str, Any]:
    disruptive = dice.sample(list(DISRUPTIVE), dice.randint(0, 2))
    exploitive = dice.sample(list(EXPLOITIVE), dice.randint(0, 1))
    found = [
        {"effect": one, "confidence": dice.randint(1, 100), "basis": "mapped", "rule": "rule"}
        for one in (*disruptive, *exploitive)
    ]
    kind = (
        ("mixed" if exploitive else "disruptive") if disruptive else "exploitive" if exploitive else "undetermined"
    )
    said: dict[str, Any] = {"extension_type": "property-extension", "effect_type": kind}
    said |= {"effects": found} if found else {}
    more = {
        "stage": "effect" if found else dice.choice(["exposure", "unknown", "threat"]),
        "means": dice.sample(list(MEANS), dice.randint(1, 2)),
        "root_cause": dice.choice(list(ROOT_CAUSES)),
        "actor_type": dice.choice(list(ACTOR_TYPES)),
        "motives": dice.sample(list(MOTIVES), 1),
        "countries": dice.sample(COUNTRIES, dice.randint(1, 3)),
        "sectors": dice.sample(SECTORS, dice.randint(1, 2)),
        "victim_count": dice.randint(1, 9),
        "trans_border": dice.random() < 0.5,
        "public_core": [{"element": dice.choice(list(PUBLIC_CORE)), "scheme": "asn", "identifier": "text"}],
        "times": {"detected": {"value": "2025-03-04T10:11:12Z", "fidelity": "second"}},
        "classified": {"basis": "mapped", "organisation": "text", "role": "analyst", "mapping": "text"},
    }
    said |= {name: member for name, member in more.items() if dice.random() < 0.6}
    if incidents and dice.random() < 0.15:
        said["cluster"] = dice.choice(list(incidents))
    return said


# --- what fits where, found out once -------------------------------------------------------------------------


@cache
def _full(kind: str) -> dict[str, Any]:
    found = full_object(kind)
    for deep in [path for path in strings(found) if len(path) > 1 and str(path[-1]).endswith(("_ref", "_refs"))]:
        found.pop(str(deep[0]), None)  # references deep down are the business of other tests
    return found


@cache
def _required(kind: str) -> frozenset[str]:
    if kind in ("language-content", "marking-definition", "extension-definition"):
        return frozenset({"object_ref"})
    whole = _full(kind)
    return frozenset(n for n in whole if problems({name: v for name, v in whole.items() if name != n}))


@cache
def _fits(kind: str, name: str, target: str) -> bool:
    whole = _full(kind)
    id_ = f"{target}--1d2c3b4a-5f6e-4d7c-8b9a-0f1e2d3c4b5a"
    return not problems(whole | {name: [id_] if name.endswith("_refs") else id_})


_FORMS = ("ö“{0}/ß", "{0}", "{0}01234567", "{0}{0}", "{0}{0}{0}{0}", "https://{0}.example/", "[url:value = '{0}']")
_NEVER = ("type", "id", "spec_version", "extension_type", "created_by_ref", "relationship_type", "pattern_type")


def _form(kind: str, path: tuple[str | int, ...], text: str) -> str | None:
    """The form in which a canary may stand at a path; None where no text of one's own may."""
    if path[-1] in _NEVER or ("--" in text and not text.startswith("auf ")) or path[0] == "granular_markings":
        return None
    if str(path[0]) == "extensions" and path[1] == EXTENSION_ID:
        return {"identifier": "ö“{0}/ß", "organisation": "ö“{0}/ß", "mapping": "{0}"}.get(str(path[-1]))
    if path[0] in ("extensions", "contents", "definition") or kind.endswith("-definition"):
        return (
            _FORMS[0]
            if path[-1] in ("said", "asset", "owner", "name", "description", "statement", "schema")
            else None
        )
    return _free_form(kind, path) or _free_form(kind, tuple(step if isinstance(step, str) else 0 for step in path))


@cache
def _free_form(kind: str, path: tuple[str | int, ...]) -> str | None:
    whole = _full(kind) if kind in TYPES else {}
    try:
        _at(whole, path)
    except (KeyError, IndexError, TypeError):
        return None
    for form in _FORMS:
        if not problems(planted(whole, path, form.format("0f" * 16))):
            return form
    return None


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _dotted(path: tuple[str | int, ...]) -> str:
    """A path as the redaction table writes it."""
    found = ""
    for step in path:
        found += "[]" if isinstance(step, int) else f".{step}" if found else step
    return found


__all__ = ["OBSERVABLES", "UNKNOWN_EXTENSION", "Place", "Step", "Told", "World", "make_world"]
