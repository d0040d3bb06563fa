"""Mutants: bugs that somebody could write into the judges, and a process of its own in which one is at work.

`python tests/proofs/mutants.py NAME [WORLDS]` imports the module with the bug in it, lets random worlds live and
says which proof noticed. The checkout is never touched. The name `none` is the code as it is.
"""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug: in the module, `right` stands once and is replaced by `wrong`."""

    name: str
    module: str
    right: str
    wrong: str


_DECIDE, _CLOSURE, _REDACT = "tocsin.policy.decide", "tocsin.policy.closure", "tocsin.policy.redact"
_ATTRIBUTES, _RULES, _MARKINGS = "tocsin.policy.attributes", "tocsin.policy.rules", "tocsin.stix.markings"
_JUDGING, _SUBJECTS = "tocsin.sharing.judging", "tocsin.sharing.subjects"

MUTANTS = (
    Mutant("unmarked-is-clear", _DECIDE, "assumed = _level(collection.unmarked)", "assumed = Tlp.CLEAR"),
    Mutant("unmarked-of-peers-is-ours", _DECIDE, "return max(assumed, Tlp.AMBER_STRICT)", "return assumed"),
    Mutant("clearance-one-too-high", _DECIDE, "    if level <= clearance:", "    if level <= clearance + 1:"),
    Mutant(
        "allow-covers-everybody",
        _DECIDE,
        'return "origin" in rule.match or provenance.',
        "return True or provenance.",
    ),
    Mutant(
        "allow-beats-deny",
        _DECIDE,
        "    if denials:",
        '    if denials and not any(rule.then == "allow" for rule in applied):',
    ),
    Mutant("silence-allows", _DECIDE, "if needs_allow and not could_allow:", "if needs_allow and False:"),
    Mutant("errors-are-passed-over", _DECIDE, "    if in_error:\n", "    if in_error and not allows:\n"),
    Mutant("one-redaction-is-enough", _DECIDE, "*(rule.redact for rule in redacting)", "redacting[0].redact"),
    Mutant("any-keep-keeps", _DECIDE, "keep = frozenset.intersection(*", "keep = frozenset().union(*"),
    Mutant("one-key-is-enough", _DECIDE, "return all(self._holds(key", "return any(self._holds(key"),
    Mutant("some-reader-is-every-reader", _DECIDE, "return any(answers)", "return all(answers)"),
    Mutant(
        "outside-is-inside",
        _DECIDE,
        '_known(reader, "country") not in wanted',
        '_known(reader, "country") in wanted',
    ),
    Mutant(
        "definitions-need-no-clearance", _DECIDE, "return Deny(above) if above else Whole(())", "return Whole(())"
    ),
    Mutant(
        "precedents-forget-numbers", _DECIDE, "*(_exactly(value.get(name)) for name in self._properties)", "*()"
    ),
    Mutant(
        "precedents-forget-parts",
        _DECIDE,
        'self._sees_all or "granular_markings" in value or',
        "self._sees_all or",
    ),
    Mutant(
        "a-copy-is-as-good",
        _CLOSURE,
        "all(state_of(target) is State.WHOLE",
        "all(state_of(target) is not State.OUT",
    ),
    Mutant("we-copy-others", _CLOSURE, "return State.COPY if candidate.ours else State.OUT", "return State.COPY"),
    Mutant(
        "ours-needs-no-closure", _CLOSURE, "or candidate.as_posted:", "or candidate.as_posted or candidate.ours:"
    ),
    Mutant("company-goes-alone", _CLOSURE, "if candidate.anchors and all(", "if candidate.anchors and not all("),
    Mutant("closure-goes-one-step", _CLOSURE, "queue.extend(referring[candidate.id])", "queue.extend([])"),
    Mutant(
        "references-stay",
        _CLOSURE,
        "            omitted.append(key)\n        return found",
        "            return member\n        return found",
    ),
    Mutant("translations-tell", _CLOSURE, 'if value["type"] == "language-content" and', "if False and"),
    Mutant("groups-hide-nothing", _REDACT, "if leaf.groups & copying.groups and", "if False and"),
    Mutant("victims-observables-stay", _REDACT, 'if "victim" in groups else groups', "if False else groups"),
    Mutant(
        "text-stays",
        _REDACT,
        "return _kept(copying, value) if leaf.keep in copying.keep else None",
        "return _kept(copying, value)",
    ),
    Mutant("any-word-is-coded", _REDACT, "return value if value in VOCABULARIES[path] else None", "return value"),
    Mutant(
        "times-are-exact",
        _REDACT,
        'Literal["second", "day", "month"] = "day"',
        'Literal["second", "day", "month"] = "second"',
    ),
    Mutant(
        "an-unknown-side-is-nobodys", _REDACT, 'sides.get(side, sides.get("unknown", ()))', "sides.get(side, ())"
    ),
    Mutant("unknown-properties-stay", _REDACT, "if _UNKNOWN_PROPERTIES not in copying.keep:", "if False:"),
    Mutant("copies-name-originals", _REDACT, "return copying.rewrite(target) if", "return target if"),
    Mutant(
        "copies-lose-their-marking",
        _REDACT,
        '["object_marking_refs"] = list(markings)',
        '["object_marking_refs"] = list(markings)[1:]',
    ),
    Mutant(
        "sectors-hold-nothing",
        _ATTRIBUTES,
        "return sector.startswith(outer if",
        "return False and sector.startswith(outer if",
    ),
    Mutant("expressions-see-no-object", _RULES, 'looks_inside="stix" in said', "looks_inside=False"),
    Mutant(
        "the-most-open-marking-counts",
        _MARKINGS,
        "Marked(max(known), reason, pap)",
        "Marked(min(known), reason, pap)",
    ),
    Mutant("strange-markings-are-none", _MARKINGS, "    if strange:", "    if strange and known:"),
    Mutant("parts-marked-are-not", _MARKINGS, 'if value.get("granular_markings"):', "if False:"),
    Mutant("company-is-redacted-alone", _JUDGING, "    _follow_incidents(docket)\n", ""),
    Mutant("one-hop-too-far", _JUDGING, "if lineage.hops > limit:", "if lineage.hops > limit + 1:"),
    Mutant("what-nobody-names-stays", _JUDGING, "State.OUT if id_ in gone else state", "state"),
    Mutant(
        "nothing-waits-for-a-person", _SUBJECTS, 'if self.court.settings.release == "automatic" or', "if True or"
    ),
)


class _Mutating(MetaPathFinder):
    """Finds one module with a bug in it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if name != self._mutant.module:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(name, spec.origin, self._mutant)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        text = Path(self.path).read_text(encoding="utf-8")
        return compile(mutated(text, self._mutant), self.path, "exec")


def mutated(text: str, mutant: Mutant) -> str:
    """The source with the bug. Raises ValueError where it does not fit any more."""
    if text.count(mutant.right) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.right!r} stands {text.count(mutant.right)} times in {mutant.module}"
        )
    return text.replace(mutant.right, mutant.wrong)


async def hunt(worlds: int) -> tuple[str, int]:
    """Which proof notices something, and in which world; "" for none."""
    proofs = {name: import_module(name) for name in ("test_canaries", "test_monotonicity", "test_noninterference")}
    make_world = import_module("graphs").make_world
    for number in range(worlds):
        try:
            faults = await proofs["test_canaries"].faults_of(make_world(f"mutants/{number}", range(4)))
        except Exception:  # noqa: BLE001  (a bug that makes the node fail, in whatever way, is noticed; `none` is not)
            traceback.print_exc()
            return "failure", number
        if faults:
            return ("completeness" if "should stand" in faults[0] else "canaries"), number
    for name, proof in vars(proofs["test_monotonicity"]).items():
        try:
            if name.startswith("test_"):
                proof()
        except AssertionError:
            return "monotonicity", 0
    for number in range(worlds // 4):
        if (await proofs["test_noninterference"].difference_of_pasts(number))[1]:
            return "non-interference", number
    return "", worlds


def main(name: str, worlds: int) -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.name == name]
    if name != "none":  # before anything of the package is imported
        sys.meta_path.insert(0, _Mutating(chosen[0]))
    noticed, after = asyncio.run(hunt(worlds))
    print(json.dumps({"mutant": name, "noticed": noticed, "world": after}))
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads that a failure left behind


if __name__ == "__main__":
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent)]
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
