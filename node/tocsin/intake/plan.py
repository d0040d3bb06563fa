"""Plan: a mapping made ready for records: each is walked once, and only where some path of the mapping leads.

Every use of a path (by a table, a value or a rule) has a number, and the walk notes under it what stands there.
What the same value at the same path amounts to, and what a rule's CEL gives for the same values, is remembered,
within bounds: a source repeats itself.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tocsin.intake.language import MappingFile, Table, every_path, value_paths
from tocsin.intake.language import Told as ToldAt
from tocsin.intake.statement import Owner, Said, owner_of, said_of
from tocsin.policy.expression import Expression, ExpressionFailed, prepare
from tocsin.stix.effects import Basis

Found = dict[int, list[tuple[str, str]]]  # by the number of a use: each text, after its exact place
_MOST_REMEMBERED = 20_000  # of one source or condition; beyond it, remembering begins anew
_LONGEST_REMEMBERED = 64  # characters: longer texts are narratives, which do not come again


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that knows a value at a path, or a rule that holds; and what it and each of its cases say there."""

    owner: Owner
    own: Said
    cases: tuple[Said, ...]

    @property
    def always(self) -> bool:
        """Whether its own words hold whatever the signs, and there are no others."""
        return self.owner.always

    def said(self, signs: Set[str]) -> Iterator[Said]:
        """What is said where these signs are set: its own words, and those of the first case that holds."""
        owner = self.owner
        if owner.own.holds(signs):
            yield self.own
            for case, said in zip(owner.cases, self.cases, strict=True):
                if case.holds(signs):
                    yield said
                    return


class Source:
    """One path of one table: the rows by value, and the hits that came before."""

    def __init__(self, mapping: str, table: Table, path: str, rows: MappingOf[str, Owner]) -> None:
        self._mapping = mapping
        self._path = path
        self._ground = table.ground
        self._basis: Basis = table.basis  # type: ignore[assignment]  # the model checks the word
        self._rows = rows
        self._hits: dict[tuple[str, str], Hit] = {}

    def hit(self, found: tuple[str, str]) -> Hit | None:
        """What the text at its place amounts to; None for one that no row knows."""
        known = self._hits.get(found)
        if known is not None:
            return known
        where, value = found
        owner = self._rows.get(value.casefold())
        if owner is None:
            return None
        rule = _rule_id(self._mapping, self._path, value)
        own, *cases = (
            said_of(case.statement, rule, where, value, self._ground, self._basis)
            for case in (owner.own, *owner.cases)
        )
        if len(self._hits) >= _MOST_REMEMBERED:
            self._hits.clear()
        hit = self._hits[found] = Hit(owner, own, tuple(cases))
        return hit


@dataclass(frozen=True, slots=True)
class Words:
    """Words to look for in texts: their parts for a first look, and a pattern where a word has several."""

    plain: tuple[str, ...]
    parted: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]

    def stand_in(self, text: str) -> bool:
        """Whether one of them stands in this text, which is in folded case."""
        return any(word in text for word in self.plain) or any(
            all(part in text for part in parts) and pattern.search(text) for parts, pattern in self.parted
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Texts in which one word must stand, and others must not. `uses`: where the walk notes them."""

    uses: tuple[int, ...]
    any: Words
    none: Words

    def holds(self, found: Found) -> bool:
        texts = [text.casefold() for use in self.uses for _, text in found.get(use, ())]
        return any(map(self.any.stand_in, texts)) and not any(map(self.none.stand_in, texts))


class Condition:
    """The CEL of one rule, given no more of a record than it reads. Raises ExpressionFailed."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._reads = _paths_read(expression.text)
        self._reads_signs = re.search(r"\bsigns\b", expression.text) is not None
        self._known: dict[Any, bool | ExpressionFailed] = {}

    def holds(self, record: MappingOf[str, Any], signs: set[str]) -> bool:
        seen = frozenset(signs) if self._reads_signs else frozenset[str]()
        if self._reads is None:
            return self._value(record, seen)
        leaves = [_leaf(record, path) for path in self._reads]
        if not all(map(_may_come_again, leaves)):
            return self._value(_pruned(record, self._reads), seen)
        # 1, 1.0 and true are equal and not the same
        key = (seen, *((steps, type(leaf), leaf) for steps, leaf in leaves))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            try:
                known = self._value(_pruned(record, self._reads), seen)
            except ExpressionFailed as why:
                known = why
            self._known[key] = known
        if isinstance(known, ExpressionFailed):
            raise known
        return known

    def _value(self, record: Any, signs: Iterable[str]) -> bool:
        return bool(self._expression.value(prepare({"i": record, "signs": sorted(signs)})))


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """A rule with its conditions."""

    id: str
    hit: Hit
    if_: frozenset[str]
    unless: frozenset[str]
    told: Told | None
    condition: Condition | None


@dataclass(slots=True)
class _Node:
    """A step of some path: the steps that follow it, and the uses that want what stands here."""

    children: dict[str, "_Node"] = field(default_factory=dict)
    texts: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)  # texts split by the mapping's sign
    names: list[int] = field(default_factory=list)  # of the members of an object


class Plan:
    """A mapping made ready. `sources`: those of the tables, whose uses have the first numbers."""

    def __init__(
        self, file: MappingFile, rows: Sequence[MappingOf[str, Any]], expressions: MappingOf[str, Expression]
    ) -> None:
        self._split = file.split
        self._root = _Node()
        self._whole: dict[str, list[tuple[int, bool]]] = {}  # uses of paths with dots, by the path
        self._count = 0
        self._by_path: dict[tuple[str, bool], int] = {}
        self.sources: list[Source] = []
        for table, of_table in zip(file.tables, rows, strict=True):
            owners = {id(row): owner_of(row) for row in table.rows}
            by_value = {value: owners[id(row)] for value, row in of_table.items()}
            for path in table.of:
                self._use(path, names=table.keys, parted=not table.keys)
                self.sources.append(Source(file.mapping, table, path, by_value))
        self.rules = tuple(self._rule(file, rule, expressions) for rule in file.rules)
        for _, path in value_paths(file.values):
            self.use(path)
            self.use(path, parted=True)
        self.known_members = frozenset({path for _, path in every_path(file)} | {*file.local, *file.read.id})

    def use(self, path: str, *, parted: bool = False) -> int:
        """The number by which the walk notes the texts at a path, `parted` by the mapping's sign for several."""
        key = (path, parted and self._split is not None)
        if key not in self._by_path:
            self._by_path[key] = self._use(path, parted=key[1])
        return self._by_path[key]

    def walk(self, record: MappingOf[str, Any]) -> Found:
        """Every text at the paths of the mapping, with its exact place; lists are entered at any step.

        A member whose whole name is the path comes first: columns of a table may have dots in their names.
        """
        found: Found = {}
        self._descend(record, self._root, "", found)
        if self._whole and not self._whole.keys().isdisjoint(record):
            for path in self._whole.keys() & record.keys():
                for use, parted in self._whole[path]:
                    found.pop(use, None)
                    self._texts(record[path], path, _Node(parts=[use]) if parted else _Node(texts=[use]), found)
        return found

    def _rule(self, file: MappingFile, rule: Any, expressions: MappingOf[str, Expression]) -> PlannedRule:
        owner = owner_of(rule)
        id_ = f"{file.mapping}:{rule.id}"
        own, *cases = (
            said_of(case.statement, id_, "", "", "rule", "mapped") for case in (owner.own, *owner.cases)
        )
        condition = Condition(expressions[rule.id]) if rule.id in expressions else None
        return PlannedRule(
            id=rule.id,
            hit=Hit(owner, own, tuple(cases)),
            if_=owner.own.if_,
            unless=owner.own.unless,
            told=self._told(rule.told),
            condition=condition,
        )

    def _told(self, at: ToldAt | None) -> Told | None:
        if at is None:
            return None
        return Told(tuple(self.use(path) for path in at.of), _words(at.any), _words(at.none))

    def _use(self, path: str, *, names: bool = False, parted: bool = False) -> int:
        use = self._count
        self._count += 1
        node = self._root
        for step in path.split("."):
            node = node.children.setdefault(step, _Node())
        if names:
            node.names.append(use)
            return use
        parted = parted and self._split is not None
        (node.parts if parted else node.texts).append(use)
        if "." in path:
            self._whole.setdefault(path, []).append((use, parted))
        return use

    def _descend(self, record: MappingOf[str, Any], node: _Node, where: str, found: Found) -> None:
        for name, child in node.children.items():
            if name in record:
                self._visit(record[name], child, f"{where}.{name}" if where else name, found)

    def _visit(self, value: Any, node: _Node, where: str, found: Found) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._visit(item, node, f"{where}[{index}]", found)
        elif isinstance(value, dict):
            if node.names:
                names = [(f"{where}.{name}", str(name)) for name in value]
                for use in node.names:
                    _note(found, use, names)
            if node.children:
                self._descend(value, node, where, found)
        elif node.texts or node.parts:
            self._texts(value, where, node, found)

    def _texts(self, value: Any, where: str, node: _Node, found: Found) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._texts(item, f"{where}[{index}]", node, found)
            return
        text = value if isinstance(value, str) else _text(value)
        if not (plain := text.strip()):
            return
        for use in node.texts:
            _note(found, use, [(where, plain)])
        if node.parts:
            parts = [(where, part.strip()) for part in text.split(self._split) if part.strip()]
            for use in node.parts:
                _note(found, use, parts)


def _note(found: Found, use: int, texts: list[tuple[str, str]]) -> None:
    before = found.get(use)
    if before is None:
        found[use] = list(texts)
    else:
        before += texts


def _text(value: Any) -> str:
    """A number or truth as text; nothing for what is neither."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float | Decimal) else ""


def _rule_id(mapping: str, path: str, value: str) -> str:
    """The id of a row: mapping, path, value, in the signs that the effects extension allows in a rule's id."""
    plain = re.sub(r"[^A-Za-z0-9._:/+]+", "-", f"{path}/{value}").strip("-")
    if path.isascii() and value.isascii():
        return f"{mapping}:{plain}"[:100]
    digest = hashlib.sha256(f"{path}/{value.casefold()}".encode()).hexdigest()[:8]
    return f"{mapping}:{plain[:60]}-{digest}"


def _words(words: Sequence[str]) -> Words:
    folded = [tuple(word.casefold().split()) for word in words]
    parted = [
        # between literals stands a bounded gap, so no text takes long
        (parts, re.compile(r"[\W_]{0,3}".join(map(re.escape, parts))))
        for parts in folded
        if len(parts) > 1
    ]
    return Words(tuple(parts[0] for parts in folded if len(parts) == 1), tuple(parted))


# --- what CEL reads ------------------------------------------------------------------------------------------

Path = tuple[str, ...]
_TEXT_IN_CEL = re.compile(r'"(?:[^"\\]|\\.)*+"|\'(?:[^\'\\]|\\.)*+\'')
_ODD_TEXT_IN_CEL = re.compile(r"""'''|\"""|//|\b[rbRB]{1,2}['"]""")  # raw or long texts, and comments
_RECORD_IN_CEL = re.compile(r"(?<!\w)i(?!\w)((?:\s*\.\s*\??\s*[A-Za-z_]\w*+(?!\s*\())*)")


def _paths_read(text: str) -> tuple[Path, ...] | None:
    """The paths in the record `i` that an expression reads, at most; None where it may read all of it."""
    if _ODD_TEXT_IN_CEL.search(text):
        return None
    plain = _TEXT_IN_CEL.sub("''", text)
    found = [tuple(re.findall(r"\w+", chain)) for chain in _RECORD_IN_CEL.findall(plain)]
    return tuple(dict.fromkeys(found)) if all(found) else None


class _Absent:
    """Stands for a member that is not there; one that is null is another thing."""


_ABSENT = _Absent()


def _leaf(record: Any, path: Path) -> tuple[int, Any]:
    """What stands at a path, or at as much of it as there is, and how many steps that is."""
    node = record
    for number, step in enumerate(path):
        if not isinstance(node, dict):
            return number, node
        if step not in node:
            return number, _ABSENT
        node = node[step]
    return len(path), node


def _may_come_again(leaf: tuple[int, Any]) -> bool:
    value = leaf[1]
    if isinstance(value, str):
        return len(value) <= _LONGEST_REMEMBERED
    return value is None or isinstance(value, _Absent | int | float | Decimal)


def _pruned(record: MappingOf[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """The record with nothing but what stands at these paths."""
    pruned: dict[str, Any] = {}
    for path in paths:
        node, into = record, pruned
        for step in path[:-1]:
            if not isinstance(node, dict) or step not in node:
                break
            node = node[step]
            if not isinstance(node, dict):
                into[step] = node
                break
            into = into.setdefault(step, {})
        else:
            if path[-1] in node:
                into[path[-1]] = node[path[-1]]
    return pruned
