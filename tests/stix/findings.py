"""Hypothesis strategies for whatever may be known of an incident."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from tocsin.stix import effects as words
from tocsin.stix.effects import Answers, derive
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
    moment_of,
)

IDENTITY = "identity--5c0f1b9e-7a64-4a0e-9a57-0d6f3b2c1e48"
LEADING = "incident--0f0e0d0c-1111-4222-8333-444455556666"


def _some(vocabulary):
    return st.lists(st.sampled_from(vocabulary), max_size=3, unique=True).map(
        lambda chosen: tuple(sorted(chosen, key=vocabulary.index))
    )


def _maybe(vocabulary):
    return st.none() | st.sampled_from(vocabulary)


def _estimates(numbers):
    return st.none() | st.lists(numbers, min_size=3, max_size=3).map(lambda given: Estimate(*sorted(given)))


MOMENTS = st.builds(
    moment_of,
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  (bounds are naive by contract)
    st.sampled_from(words.FIDELITIES),
)
PERIODS = st.tuples(MOMENTS, MOMENTS).map(lambda ends: Period(*sorted(ends, key=lambda end: end.earliest())))
TIMES = st.builds(
    Times,
    occurred=st.none() | PERIODS | st.builds(Period, start=MOMENTS) | st.builds(Period, end=MOMENTS),
    detected=st.none() | MOMENTS,
    known=st.none() | MOMENTS,
    contained=st.none() | MOMENTS,
    restored=st.none() | MOMENTS,
)
ANSWERS = st.builds(
    Answers,
    places=st.frozensets(st.sampled_from(words.PLACES)),
    **{question: st.sampled_from(("yes", "no", "unknown")) for question in words.QUESTIONS},
)
TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40)
FRACTIONS = st.decimals(0, 100, places=3)
SEVERITIES = st.builds(
    Severity,
    disruption_index=_estimates(FRACTIONS),
    outage_hours=_estimates(FRACTIONS),
    peak=st.none() | st.decimals(0, 1, places=2),
    method=st.sampled_from(("topology", "ordinal", "reported")),
    inputs=st.just({}) | st.just({"picks": {"scope": 1, "magnitude": 4, "duration": 5}}),
    scores=st.lists(st.builds(Score, TEXTS, FRACTIONS, TEXTS), max_size=2).map(tuple),
)
CLASSIFIED = st.builds(
    Classified,
    basis=_maybe(words.BASES),
    role=st.just("analyst"),
    organisation=st.none() | TEXTS,
    at=st.none() | st.just("2025-03-14T09:12:00Z"),
    mapping=st.none() | st.just("veris"),
    mapping_version=st.none() | st.just("1.4.1"),
    assumed=_some(("root_cause", "stage")),
)
SECTORS = ("naics:62", "naics:622110", "nis2:health", "nis2:energy/electricity")


def _consistent(answers, confidence, findings):
    """Findings whose effects, type and flags follow from the answers."""
    derived = derive(answers)
    return replace(
        findings,
        effects=tuple(Effect(effect, confidence, "mapped", "rule:1") for effect in derived.effects),
        effect_type=derived.effect_type,
        disruptive_unknown=derived.disruptive_unknown,
        exploitive_unknown=derived.exploitive_unknown,
        answers=answers,
    )


def _uncontradicted(answers):
    """A yes below a no is a contradiction, which no careful reporter writes."""
    return not any(
        getattr(words.answers_implied_by(effect), question) == "yes" and getattr(answers, question) == "no"
        for effect in derive(answers).effects
        for question in words.QUESTIONS
    )


FINDINGS = st.builds(
    _consistent,
    ANSWERS.filter(_uncontradicted),
    st.integers(0, 100),
    st.builds(
        Findings,
        stage=_maybe(words.STAGES),
        means=_some(words.MEANS),
        root_cause=_maybe(words.ROOT_CAUSES),
        actor_type=_maybe(words.ACTOR_TYPES),
        motives=_some(words.MOTIVES),
        times=TIMES,
        claimed_by=_maybe(words.CLAIMED_BY),
        sectors=_some(SECTORS),
        countries=_some(("EE", "FI", "LT", "LV")),
        victim_count=st.none() | st.integers(0, 10**9),
        persons_affected=_estimates(st.integers(0, 10**10)),
        cluster=st.none() | st.just(LEADING),
        severity=st.none() | SEVERITIES,
        public_core=st.lists(
            st.builds(
                PublicCore, st.sampled_from(words.PUBLIC_CORE), st.none() | st.just("tld"), st.none() | TEXTS
            ),
            max_size=2,
            unique=True,
        ).map(tuple),
        trans_border=st.none() | st.booleans(),
        significant=st.none() | st.booleans(),
        request=st.none()
        | st.builds(
            Request,
            st.sampled_from(words.REQUESTS),
            st.none() | st.just("2025-04-01T00:00:00Z"),
            st.just(IDENTITY),
        ),
        determination=st.sampled_from(words.DETERMINATIONS),
        investigation_status=st.sampled_from(words.INVESTIGATION_STATUSES),
        classified=st.none() | CLASSIFIED,
        description=st.none() | TEXTS,
    ),
)
