"""Closure: a collection names nothing that its readers cannot find in it (DESIGN 2.10).

Pure. Given what each object's own judgement allows and what stands already, find the largest set that may
enter together: objects that refer to each other enter together, and whether a missing object is hidden or was
never here makes no difference.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum


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
    posted it into this very collection, so its references are that writer's own disclosure.
    """

    id: str
    best: State
    targets: frozenset[str] = frozenset()
    ours: bool = True
    as_posted: bool = False


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
        for target in candidate.targets:
            referring[target].append(candidate.id)

    def state_of(id_: str) -> State:
        return states.get(id_, standing.get(id_, State.OUT))

    queue = deque(judged)
    while queue:
        candidate = judged[queue.popleft()]
        if states[candidate.id] is not State.WHOLE or candidate.as_posted:
            continue
        if all(state_of(target) is State.WHOLE for target in candidate.targets if target != candidate.id):
            continue
        states[candidate.id] = State.COPY if candidate.ours else State.OUT
        queue.extend(referring[candidate.id])

    waits_for = {
        id_: frozenset(t for t in judged[id_].targets if t != id_ and state_of(t) is not State.WHOLE)
        for id_, state in states.items()
        if state is State.OUT and judged[id_].best is not State.OUT
    }
    return Settled(states, waits_for)
