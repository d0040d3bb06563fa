"""Rules: a policy read from `policies/NAME.yaml`, with everything checked before it is ever used.

`match`: all keys hold; a list means any of; of a list of words, `true` asks for some and `false` for none.
`readers_in`, `readers_kind`, `readers_sectors` and
`readers_communities` hold when some reader is one of these; `readers_outside` when some reader's country is none
of these. `when` is a CEL expression over `object` (the attributes), `readers` (a list of maps) and `stix` (the
object itself). A rule without either applies always, which an `allow` must say aloud: `match: {origin: ours}`.

`pseudonyms: 90d`, with `victim` among what is redacted: the copy of an incident of ours bears a pseudonym for each
victim, the same one for that long in that collection. Where several rules redact victims, all must ask for it, and
the shortest period counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from pydantic import Field as Given

from tocsin.documents import Document, Strict, nearest, parse
from tocsin.errors import BadFile, Problem
from tocsin.policy.attributes import FIELD_BY_NAME, FIELDS, SECTORS, Field, is_sector
from tocsin.policy.decision import Reason
from tocsin.policy.expression import Expression, Kind, compile_expression
from tocsin.policy.redact import GROUPS, KEEPS
from tocsin.settings import NAME, Seconds

Then = Literal["allow", "deny", "redact"]
Expect = Literal["whole", "redact", "deny"]
ReaderAttribute = Literal["country", "kind", "sectors", "communities"]

# match key → the attribute of a reader that it asks for
READER_KEYS: Mapping[str, ReaderAttribute] = {
    "readers_in": "country",
    "readers_outside": "country",
    "readers_kind": "kind",
    "readers_sectors": "sectors",
    "readers_communities": "communities",
}
BUILT_IN = ("clearance", "unmarked", "marking", "silence")
_READER_NAMES = ("name", *get_args(ReaderAttribute))
_SHORTEST, _LONGEST = 86_400, 366 * 86_400  # seconds for which pseudonyms may stay the same
_COUNTRY = re.compile(r"^[A-Z]{2}$")
# the texts of an expression, and its comments, found in one scan: an apostrophe in a comment begins no text
_LITERAL = re.compile(
    r"""//[^\n]*
    | '''(?:\\.|[^\\])*?''' | \"\"\"(?:\\.|[^\\])*?\"\"\"
    | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*"
    """,
    re.DOTALL | re.VERBOSE,
)
_OVER_READERS = re.compile(r"\breaders\s*\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*(\w+)\s*,")
_VARIABLES: Mapping[str, Kind] = {
    **{f"object.{name.name}": name.cel for name in FIELDS},
    "readers": "maps",
    "stix": "map",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a collection, as our own settings describe him; None where they say nothing.

    `kind` is that of an account or peer; a person's account, which has a role instead, counts as `person`.
    """

    name: str
    kind: str
    country: str | None = None
    sectors: tuple[str, ...] | None = None
    communities: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `at_least` to `at_most`, both included; None is open."""

    at_least: float | None
    at_most: float | None


Wanted = bool | tuple[str, ...] | Range


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `places` gives file:line of the rule ("") and of each match key.

    `reader_attributes`: what it asks of readers, in `match` and in `when`; `depends_on_readers` also when it only
    counts them. Its expression speaks of the attributes in `asks_for`, perhaps of some more that are not; with
    `looks_inside` also of the object itself.
    """

    id: str
    match: Mapping[str, Wanted]
    when: Expression | None
    then: Then
    redact: frozenset[str]
    keep: frozenset[str]
    reason: str
    places: Mapping[str, str] = field(repr=False, compare=False)
    reader_attributes: frozenset[ReaderAttribute]
    depends_on_readers: bool
    asks_for: frozenset[str]
    looks_inside: bool
    pseudonyms: int | None = None

    @property
    def said(self) -> Reason:
        return Reason(self.id, self.reason)


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """An example that `tocsin check` judges: who holds it on whose word, who reads, and what must come out."""

    object: str
    readers: tuple[str, ...]
    expect: Expect
    rule: str | None
    collection: str | None
    origin: str
    owner: str
    posted_here: bool
    authentic: bool
    reviewed: bool
    place: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...] = ()


class _PolicyText(Strict):
    rules: list[Any]
    tests: list[Any] = Given(default_factory=list)


class _RuleText(Strict):
    id: str
    match: dict[str, Any] = Given(default_factory=dict)
    when: str | None = None
    then: str
    redact: list[str] = Given(default_factory=list)
    pseudonyms: Seconds | None = None
    keep: list[str] = Given(default_factory=list)
    reason: str


class _TestText(Strict):
    object: str
    readers: list[str] = Given(default_factory=list)
    expect: str
    rule: str | None = None
    collection: str | None = None
    origin: str = "ours"
    owner: str = ""
    posted_here: bool = False
    authentic: bool = True
    reviewed: bool = False


def read_policy(document: Document, name: str) -> Policy:
    """The policy of a file. Raises BadFile with file:line of every fault, all of them at once."""
    text = parse(_PolicyText, document)
    problems: list[Problem] = []
    rules: list[Rule] = []
    for index, given in enumerate(text.rules):
        try:
            rules.append(_read_rule(document, index, given))
        except BadFile as why:
            problems += why.problems
    problems += _repeated(document, text.rules)
    ids = [given["id"] for given in text.rules if isinstance(given, dict) and isinstance(given.get("id"), str)]
    tests: list[PolicyTest] = []
    for index, given in enumerate(text.tests):
        try:
            tests.append(_read_test(document, index, given, ids))
        except BadFile as why:
            problems += why.problems
    if problems:
        raise BadFile(problems)
    return Policy(name, tuple(rules), tuple(tests))


def _repeated(document: Document, rules: Iterable[Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, given in enumerate(rules):
        id_ = given.get("id") if isinstance(given, dict) else None
        if isinstance(id_, str) and first.setdefault(id_, index) != index:
            other = document.place(("rules", first[id_], "id"))
            yield document.problem(("rules", index, "id"), f"rule {id_!r} is already defined at {other}")


def _read_rule(document: Document, index: int, given: Any) -> Rule:
    at = ("rules", index)
    text = parse(_RuleText, document, given, at)
    problems = [*_shape(document, at, text), *_unknown_groups(document, at, text)]
    problems += _wrong_period(document, at, text)
    match, wrong = _read_match(document, (*at, "match"), text.match)
    problems += wrong
    when: Expression | None = None
    if text.when is not None:
        try:
            when = _read_when(document.place((*at, "when")), text.when)
        except BadFile as why:
            problems += why.problems
    if problems:
        raise BadFile(problems)
    said = text.when or ""
    asked = {READER_KEYS[key] for key in match if key in READER_KEYS} | _reader_names(said)
    return Rule(
        id=text.id,
        match=match,
        when=when,
        then=cast(Then, text.then),
        redact=frozenset(text.redact),
        keep=frozenset(text.keep),
        pseudonyms=text.pseudonyms,
        reason=text.reason.strip(),
        places={"": document.place(at)} | {key: document.place((*at, "match", key)) for key in match},
        reader_attributes=frozenset(asked),
        depends_on_readers=bool(asked) or _speaks_of("readers", said),
        asks_for=frozenset(name for name in FIELD_BY_NAME if name in said),
        looks_inside="stix" in said,  # once too often costs time, once too seldom would let something out
    )


def _shape(document: Document, at: tuple[str | int, ...], text: _RuleText) -> Iterator[Problem]:
    """What the parts of a rule demand of each other."""
    if not NAME.match(text.id):
        said = f"id {text.id!r}: lower-case letters, digits, '.', '_' and '-'"
        yield document.problem((*at, "id"), said)
    elif text.id in BUILT_IN:
        yield document.problem((*at, "id"), f"{text.id!r} is the name of a rule that is built in")
    if not text.reason.strip():
        yield document.problem((*at, "reason"), "the reason is empty: say why, for who is refused")
    words = get_args(Then)
    if text.then not in words:
        said = f"unknown then {text.then!r}{nearest(text.then, words)} (allow, deny or redact)"
        yield document.problem((*at, "then"), said)
    elif text.then == "redact" and not text.redact:
        yield document.problem((*at, "then"), "redact what? List groups: " + " ".join(GROUPS))
    elif text.then != "redact":
        for key in ("redact", "keep"):
            if getattr(text, key):
                yield document.problem((*at, key), f"{key!r} belongs to a rule with then: redact")
    if text.then == "allow" and not text.match and text.when is None:
        said = "allows everything of ours; if that is meant, say match: {origin: ours}"
        yield document.problem(at, said)


def _wrong_period(document: Document, at: tuple[str | int, ...], text: _RuleText) -> Iterator[Problem]:
    if text.pseudonyms is None:
        return
    if text.then != "redact" or "victim" not in text.redact:
        said = "pseudonyms stand for victims that are not named: then: redact, redact: [victim]"
        yield document.problem((*at, "pseudonyms"), said)
    elif not _SHORTEST <= text.pseudonyms <= _LONGEST:
        yield document.problem((*at, "pseudonyms"), "a period from 1d to 366d, such as 90d")


def _unknown_groups(document: Document, at: tuple[str | int, ...], text: _RuleText) -> Iterator[Problem]:
    for key, given, known in (("redact", text.redact, GROUPS), ("keep", text.keep, KEEPS)):
        for index, word in enumerate(given):
            if word not in known:
                said = f"unknown group {word!r}{nearest(word, known)} ({' '.join(known)})"
                yield document.problem((*at, key, index), said)
    for index, word in enumerate(text.keep):
        if word in text.redact:
            yield document.problem((*at, "keep", index), f"{word!r} is both kept and redacted")


# --- match ---------------------------------------------------------------------------------------------------


def _read_match(
    document: Document, at: tuple[str | int, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Wanted], list[Problem]]:
    match: dict[str, Wanted] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        try:
            if key in READER_KEYS:
                match[key] = _reader_words(key, value)
            elif key in FIELD_BY_NAME:
                match[key] = _wanted(FIELD_BY_NAME[key], value)
            else:
                known = [*FIELD_BY_NAME, *READER_KEYS]
                raise ValueError(f"unknown key {key!r}{nearest(key, known)}")
        except ValueError as why:
            problems.append(document.problem((*at, key), str(why)))
    return match, problems


def _wanted(name: Field, value: Any) -> Wanted:
    """The value that a match key may have. Raises ValueError with what would be right."""
    match name.kind:
        case "flag":
            if not isinstance(value, bool):
                raise ValueError(f"{name.name}: true or false")
            return value
        case "number":
            return _range(name.name, value)
        case "words" if isinstance(value, bool):
            return value
        case _:
            words = _READ_WORDS.get(name.name, _words)(name.name, value)
            for word in words:
                _check_word(name, word)
            return words


def _check_word(name: Field, word: str) -> None:
    if name.values is None or word in name.values:
        return
    near = nearest(word, name.values)
    # a type of its own is allowed by STIX 2.1 §7.3; what resembles a known one is a slip
    if name.name == "type" and (not near or word.startswith("x-")):
        return
    words = near or f" ({' '.join(name.values)})"
    raise ValueError(f"unknown {name.name} {word!r}{words}")


def _range(name: str, value: Any) -> Range:
    if _is_number(value):
        return Range(value, value)
    ends = ("at_least", "at_most")
    if not isinstance(value, dict) or not value or not all(_is_number(end) for end in value.values()):
        raise ValueError(f"{name}: a number, or {{at_least: N, at_most: N}}")
    for key in value:
        if key not in ends:
            raise ValueError(f"{name}: unknown key {key!r}{nearest(str(key), ends)}")
    return Range(value.get("at_least"), value.get("at_most"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(name: str, value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list) else [value]
    if not words:
        raise ValueError(f"{name}: an empty list matches nothing")
    for word in words:
        if not isinstance(word, str) or not word:
            raise ValueError(f"{name}: {word!r} is not a word")
    return tuple(words)


def _reader_words(key: str, value: Any) -> tuple[str, ...]:
    return _READ_WORDS.get(READER_KEYS[key], _words)(key, value)


def _countries(name: str, value: Any) -> tuple[str, ...]:
    words = _words(name, value)
    for word in words:
        if not _COUNTRY.match(word):
            raise ValueError(f"{name}: {word!r} is not two capital letters (ISO 3166-1), such as EE")
    return words


def _sectors(name: str, value: Any) -> tuple[str, ...]:
    words = _words(name, value)
    for word in words:
        if not is_sector(word):
            known = nearest(word, SECTORS) or f" (naics:52, or one of {' '.join(SECTORS)})"
            raise ValueError(f"{name}: unknown sector {word!r}{known}")
    return words


def _pap(name: str, value: Any) -> tuple[str, ...]:
    return tuple("clear" if word == "white" else word for word in _words(name, value))


# attribute of an object or of a reader → how its words are read, where not every word is one
_READ_WORDS: Mapping[str, Callable[[str, Any], tuple[str, ...]]] = {
    "country": _countries,
    "countries": _countries,
    "pap": _pap,
    "sectors": _sectors,
}


# --- when ----------------------------------------------------------------------------------------------------


def _read_when(place: str, text: str) -> Expression:
    expression = compile_expression(text, _VARIABLES, place=place, returns="bool")
    for name in _selected_of_readers(text):
        if name not in _READER_NAMES:
            raise BadFile([Problem(place, f"a reader has no {name!r}{nearest(name, _READER_NAMES)}")])
    return expression


def _speaks_of(variable: str, text: str) -> bool:
    return re.search(rf"\b{variable}\b", _LITERAL.sub("''", text)) is not None


def _selected_of_readers(text: str) -> set[str]:
    """What an expression selects from a reader: `r.x` for each variable that runs over readers, `readers[0].x`."""
    code = _LITERAL.sub("''", text)
    found = set(re.findall(r"\breaders\s*\[[^\]]*\]\s*\.\s*\??(\w+)", code))
    for variable in _OVER_READERS.findall(code):
        found |= set(re.findall(rf"\b{variable}\s*\.\s*\??(\w+)", code))
    return found


def _reader_names(text: str) -> set[ReaderAttribute]:
    """The attributes that an expression may ask of a reader; rather one too many than one too few."""
    if not _speaks_of("readers", text):
        return set()
    code = re.sub(r"\b(object|stix)\s*\.\s*\??\w+", "", _LITERAL.sub("''", text))
    written = set(re.findall(r"\.\s*\??(\w+)", code))
    # readers[0]['country']: a name may also be written as a text
    written |= {literal.strip("'\"") for literal in _LITERAL.findall(text)}
    known: tuple[ReaderAttribute, ...] = get_args(ReaderAttribute)
    return {name for name in known if name in written}


# --- tests ---------------------------------------------------------------------------------------------------


def _read_test(document: Document, index: int, given: Any, rules: list[str]) -> PolicyTest:
    at = ("tests", index)
    text = parse(_TestText, document, given, at)
    problems = []
    words = get_args(Expect)
    if text.expect not in words:
        said = f"unknown expect {text.expect!r}{nearest(text.expect, words)} (whole, redact or deny)"
        problems.append(document.problem((*at, "expect"), said))
    if text.rule is not None and text.rule not in (*rules, *BUILT_IN):
        problems.append(document.problem((*at, "rule"), f"no rule {text.rule!r}{nearest(text.rule, rules)}"))
    if problems:
        raise BadFile(problems)
    return PolicyTest(
        object=text.object,
        readers=tuple(text.readers),
        expect=cast(Expect, text.expect),
        rule=text.rule,
        collection=text.collection,
        origin=text.origin,
        owner=text.owner,
        posted_here=text.posted_here,
        authentic=text.authentic,
        reviewed=text.reviewed,
        place=document.place(at),
    )
