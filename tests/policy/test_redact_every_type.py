"""No copy of any type carries what names the victim, wherever in the original it stood."""

import json
from itertools import combinations
from typing import Any

import pytest

from stix_samples import OBSERVABLES, OTHER, TYPES, UUID, dictionaries, full_object, planted, strings
from tocsin.policy.redact import GROUPS, CopyImpossible, redacted
from tocsin.stix import effects
from tocsin.stix.incident import (
    Classified,
    Effect,
    Estimate,
    Findings,
    Period,
    PublicCore,
    Request,
    Score,
    Severity,
    Times,
    build_incident,
    moment,
)
from tocsin.stix.validate import problems

# a name with spaces, what looks like a code, a host name, an address: each passes another sort of check
PLANTS = ("Vexilla Works Ltd", "vexilla", "mail.vexilla.example", "anna@vexilla.example")
COPY = "2c3d4e5f-6a7b-4c8d-9e0f-1a2b3c4d5e6f"
CREATOR = "identity--3d4e5f6a-7b8c-4d9e-8f0a-2b3c4d5e6f7a"
DATE = "2026-02-03T00:00:00.000Z"
_OTHERS = sorted(set(GROUPS) - {"victim"})
EVERY_SUBSET_WITH_VICTIM = [
    frozenset({"victim", *some}) for size in range(len(_OTHERS) + 1) for some in combinations(_OTHERS, size)
]
SOME_SUBSETS_WITH_VICTIM = [
    frozenset({"victim"}),
    frozenset(GROUPS),
    *(frozenset({"victim", other}) for other in _OTHERS),
]


def full_incident() -> dict[str, Any]:
    found = Findings(
        effects=(Effect("data-attack", 90, "mapped", "rule-1"),),
        effect_type="disruptive",
        stage="effect",
        means=("ransomware",),
        root_cause="malicious",
        actor_type="criminal",
        motives=("financial",),
        times=Times(occurred=Period(moment("2025-03-04T10:11:12Z"), moment("2025-03-04T11Z"))),
        claimed_by="victim",
        sectors=("naics:622110", "nis2:health/hospitals"),
        countries=("EE",),
        victim_count=1,
        persons_affected=Estimate(1, 2, 3),
        cluster=f"incident--{OTHER}",
        severity=Severity(
            disruption_index=Estimate(1, 2, 3),
            inputs={"nodes": [{"label": "text", "importance": 1, "spans": [{"magnitude": 1, "hours": 2}]}]},
            method="topology",
            scores=(Score("NCISS", 40, "text"),),
        ),
        public_core=(PublicCore("routing.ixp", "asn", "AS64496"),),
        request=Request("assistance", "2025-03-05T17:00:00Z", f"identity--{OTHER}"),
        answers=effects.answers_of(["data-attack"]),
        classified=Classified("mapped", "analyst", "text", "2025-03-04T10:11:12Z", "veris", "1", ("stage",)),
        description="text",
    )
    return build_incident(
        found,
        id=f"incident--{UUID}",
        creator=f"identity--{UUID}",
        created="2025-03-04T10:11:12.131Z",
        modified="2025-03-04T10:11:12.131Z",
        markings=["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"],
        external_refs=[{"source_name": "tracker", "external_id": "T-1"}],
    )


ORIGINALS = {kind: full_object(kind) for kind in TYPES} | {"incident with effects": full_incident()}


def copy_of(value: dict[str, Any], groups: frozenset[str], keep: frozenset[str] = frozenset()) -> dict[str, Any]:
    copy, _ = redacted(
        value,
        groups,
        keep,
        id=f"{value['type']}--{COPY}",
        created=DATE,
        modified=DATE,
        creator=CREATOR,
        rewrite=lambda target: target,
    )
    return copy


def text_of_copy(value: dict[str, Any], groups: frozenset[str]) -> str:
    try:
        return json.dumps(copy_of(value, groups)).lower()
    except CopyImpossible:
        return ""


def everywhere(value: dict[str, Any]) -> dict[str, Any]:
    """The object with the victim's name in every string but its type and id."""
    for index, path in enumerate(strings(value)):
        if path not in (("type",), ("id",)):
            value = planted(value, path, PLANTS[index % len(PLANTS)])
    return value


def one_by_one(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The object with the victim's name in one place alone: in one string, or as one key of one dictionary."""
    found = [
        planted(value, path, plant)
        for path in strings(value)
        if path not in (("type",), ("id",))
        for plant in PLANTS
    ]
    for path in dictionaries(value):
        inner: Any = value
        for step in path:
            inner = inner[step]
        found += [planted(value, path, inner | {plant: plant}) for plant in PLANTS[:2]]
    return found


@pytest.mark.parametrize("kind", ORIGINALS)
def test_the_full_object_is_valid_so_that_a_copy_must_be(kind):
    assert problems(ORIGINALS[kind]) == []


@pytest.mark.parametrize("kind", ORIGINALS)
def test_no_group_with_the_victim_lets_a_planted_name_through(kind):
    value = everywhere(ORIGINALS[kind])
    leaking = [groups for groups in EVERY_SUBSET_WITH_VICTIM if "vexilla" in text_of_copy(value, groups)]
    assert leaking == []


@pytest.mark.parametrize("kind", ORIGINALS)
def test_no_single_place_carries_a_planted_name_into_a_copy(kind):
    for value in one_by_one(ORIGINALS[kind]):
        for groups in SOME_SUBSETS_WITH_VICTIM:
            assert "vexilla" not in text_of_copy(value, groups), value


# what a copy without any group still shows of a planted name: facts of observables, and what a group can hide
SHOWN_BY_DEFAULT = {
    "indicator": {"pattern"},
    "incident with effects": {"sectors", "scheme", "identifier"},
}


@pytest.mark.parametrize("kind", [kind for kind in ORIGINALS if kind not in OBSERVABLES])
def test_a_copy_without_groups_shows_a_planted_name_only_where_a_group_would_hide_it(kind):
    shown = set()
    for value in one_by_one(ORIGINALS[kind]):
        try:
            copy = copy_of(value, frozenset())
        except CopyImpossible:
            continue
        for path in strings(copy):
            inner: Any = copy
            for step in path:
                inner = inner[step]
            if "vexilla" in inner.lower():
                shown.add([step for step in path if isinstance(step, str)][-1])
        assert not any("vexilla" in str(key).lower() for path in dictionaries(copy) for key in path)
    assert shown <= SHOWN_BY_DEFAULT.get(kind, set())


@pytest.mark.parametrize("kind", ORIGINALS)
def test_every_copy_is_valid_and_bears_nothing_of_the_original_s_own(kind):
    value = ORIGINALS[kind]
    for groups in (frozenset(), *SOME_SUBSETS_WITH_VICTIM):
        try:
            copy = copy_of(value, groups)
        except CopyImpossible:
            continue
        assert problems(copy) == []
        text = json.dumps(copy)
        assert UUID not in text
        assert UUID[:8] not in text
        assert "10:11:12" not in text
        assert copy["object_marking_refs"] == value["object_marking_refs"]
        again, _ = redacted(
            copy,
            groups,
            frozenset(),
            id=f"{value['type']}--{OTHER}",
            created=DATE,
            modified=DATE,
            creator=CREATOR,
            rewrite=lambda target: target,
        )
        assert problems(again) == []
        assert COPY[:8] not in json.dumps(again)


def test_copies_without_groups_are_made_of_nearly_every_type():
    impossible = set()
    for kind, value in ORIGINALS.items():
        try:
            copy_of(value, frozenset())
        except CopyImpossible:
            impossible.add(kind)
    assert impossible == {"note", "artifact", "malware-analysis"}
