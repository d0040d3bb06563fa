"""Closure: a collection names nothing that its readers cannot find in it.

Pure. Given what each object's own judgement allows and what stands already, find the largest set that may
enter together: objects that refer to each other enter together, and whether a missing object is hidden or was
never here makes no difference.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tocsin.policy.redact import CopyImpossible
from tocsin.stix.validate import problems


class State(IntEnum):
    """How an object stands in a collection."""

    OUT = 0
    COPY = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One object that is being judged.

    `best`: what its own judgement allows. `targets`: the objects it refers to, without those that need no rule.
    `ours`: we may make a copy of it; another's object is served as it is or not at all. `as_posted`: a writer
    posted it into this very collection, so its references are that writer's own disclosure. `anchors`: the
    incidents it was made with; it stands only while one of them stands in some form.
    """

    id: str
    best: State
    targets: frozenset[str] = frozenset()
    ours: bool = True
    as_posted: bool = False
    anchors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Settled:
    """The state of each candidate, and for those held back only by a reference, what they wait for."""

    states: Mapping[str, State]
    waits_for: Mapping[str, frozenset[str]]


def settle(candidates: Iterable[Candidate], standing: Mapping[str, State]) -> Settled:
    """The largest states that are closed under reference.

    Starts from what every judgement allows and only ever lowers, so it ends, and cycles survive together.
    `standing` is the state of what is not being judged; absent means OUT.
    """
    judged = {candidate.id: candidate for candidate in candidates}
    states = {id_: candidate.best for id_, candidate in judged.items()}
    referring: dict[str, list[str]] = defaultdict(list)
    for candidate in judged.values():
        for target in candidate.targets | candidate.anchors:
            referring[target].append(candidate.id)

    def state_of(id_: str) -> State:
        return states.get(id_, standing.get(id_, State.OUT))

    def allowed(candidate: Candidate) -> State:
        state = states[candidate.id]
        if candidate.anchors and all(state_of(anchor) is State.OUT for anchor in candidate.anchors):
            return State.OUT
        if state is not State.WHOLE or candidate.as_posted:
            return state
        if all(state_of(target) is State.WHOLE for target in candidate.targets if target != candidate.id):
            return state
        return State.COPY if candidate.ours else State.OUT

    queue = deque(judged)
    while queue:
        candidate = judged[queue.popleft()]
        state = allowed(candidate)
        if state is not states[candidate.id]:
            states[candidate.id] = state
            queue.extend(referring[candidate.id])

    waits_for = {
        id_: frozenset(t for t in judged[id_].targets if t != id_ and state_of(t) is not State.WHOLE)
        for id_, state in states.items()
        if state is State.OUT and judged[id_].best is State.WHOLE
    }
    return Settled(states, waits_for)


# STIX 2.1: the references without which an object of the type says nothing.
_REQUIRED: Mapping[str, frozenset[str]] = {
    "relationship": frozenset({"source_ref", "target_ref"}),
    "sighting": frozenset({"sighting_of_ref"}),
    "language-content": frozenset({"object_ref"}),
    **dict.fromkeys(("note", "opinion", "report", "grouping", "observed-data"), frozenset({"object_refs"})),
}


_ABOUT_OTHERS = frozenset({"note", "opinion", "report", "grouping"})


def closed_copy(
    value: Mapping[str, Any], *, id: str, creator: str, rewrite: Callable[[str], str | None]
) -> tuple[dict[str, Any], list[str]]:
    """Our own object as it enters a collection where something it names does not stand: a copy without that.

    Everything else is as in the original, for policy allows it whole; the dates are left to publication, and
    the digits of the original's id in a generated name give way to the copy's. Returns the copy and what it
    leaves out. Raises CopyImpossible when a reference is missing that the type cannot do without (network
    traffic names at least one end), and for a translation of what does not stand whole: it would tell in
    another language what is left out there. So would the words of a note, an opinion, a report or a grouping on
    something that does not stand at all.
    """
    if value["type"] == "language-content" and rewrite(str(value["object_ref"])) != value["object_ref"]:
        raise CopyImpossible("it translates what does not stand whole here")
    if value["type"] in _ABOUT_OTHERS and any(rewrite(str(ref)) is None for ref in value["object_refs"]):
        raise CopyImpossible("it speaks of what does not stand here")
    omitted: list[str] = []
    copy = {key: _rewritten(key, member, rewrite, omitted) for key, member in value.items()}
    copy = {key: member for key, member in copy.items() if member is not None}
    for name in sorted(_REQUIRED.get(str(value["type"]), frozenset()) - set(copy)):
        raise CopyImpossible(f"{name} names what does not stand here")
    copy["id"] = id
    if "created_by_ref" in value:
        copy["created_by_ref"] = creator
    if isinstance(copy.get("name"), str):
        copy["name"] = copy["name"].replace(_digits(str(value["id"])), _digits(id))
    if (wrong := problems(copy)) and not problems(value):
        raise CopyImpossible(f"the copy would not be valid: {wrong[0]}")
    return copy, omitted


def _digits(id_: str) -> str:
    return id_.partition("--")[2][:8]


def _rewritten(key: str, member: Any, rewrite: Callable[[str], str | None], omitted: list[str]) -> Any:
    """The member with its references as they stand here; None for a reference, or a list of them, that is gone."""
    if (key.endswith("_ref") or key == "cluster") and isinstance(member, str):
        found = rewrite(member)
        if found is None:
            omitted.append(key)
        return found
    if key.endswith("_refs") and isinstance(member, list):
        kept = [found for item in member if isinstance(item, str) and (found := rewrite(item)) is not None]
        if len(kept) < len(member):
            omitted.append(f"{key}: {len(member) - len(kept)} of {len(member)}")
        return kept or None
    if isinstance(member, dict):
        inner = {k: _rewritten(k, v, rewrite, omitted) for k, v in member.items()}
        return {k: v for k, v in inner.items() if v is not None}
    if isinstance(member, list):
        return [_rewritten("", item, rewrite, omitted) for item in member]
    return member
