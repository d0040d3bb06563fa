"""Expression: a CEL expression from a file, compiled at load and evaluated on plain data.

The one module that knows the CEL library (google/cel-spec, by `cel_expr_python`). Used by policy rules and by
mappings. Language: CEL with optional values (`i.?a.?b.orValue('')`) and the strings extension. What a name may
be is declared, also dotted (`object.tlp`), so a misspelt name and a wrong type are found when the file is read.

Cost is bounded by the library: nesting of 32, 100,000 characters of source, 10,000 iterations of macros in one
evaluation; regular expressions are RE2, linear in their input. A string may still grow by `replace` or `+`: who
writes expressions is the operator. Compiled expressions hold no state and may be shared between threads.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, cast

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from tocsin.documents import nearest
from tocsin.errors import BadFile, Problem, TocsinError

Kind = Literal["any", "bool", "int", "double", "string", "list", "strings", "map", "maps"]

_TYPES: Mapping[Kind, Any] = {
    "any": cel.Type.DYN,
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "list": cel.Type.List(cel.Type.DYN),
    "strings": cel.Type.List(cel.Type.STRING),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "maps": cel.Type.List(cel.Type.Map(cel.Type.STRING, cel.Type.DYN)),
}
_COMPLAINT = re.compile(r"ERROR: <input>:-?\d+:(-?\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_NOISE = re.compile(r" \(in container ''\)| expecting \{.*\}|\s*\[[A-Z_]+\]$")
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]\s*$")
_LARGEST_INT = 2**63


class ExpressionFailed(TocsinError):
    """An expression gave an error instead of a value; the text is CEL's own, such as a key that is missing."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that expressions may call. `call` gets strings and plain values, and gives a plain value.

    It must be pure and quick. What it raises makes the evaluation fail.
    """

    name: str
    parameters: tuple[Kind, ...]
    call: Callable[..., Any]
    returns: Kind = "any"


@dataclass(frozen=True, slots=True)
class Data:
    """Values made ready for CEL once, to be given to many expressions."""

    values: Mapping[str, Any] = field(repr=False)

    def beside(self, other: "Data") -> "Data":
        """Both together."""
        return Data({**self.values, **other.values})


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `returns` is what the checker found: a kind, or `any` when only the value tells."""

    text: str
    place: str
    returns: Kind
    _program: Any = field(repr=False, compare=False)

    def value(self, data: Mapping[str, Any] | Data) -> Any:
        """The plain value for these variables: None, bool, int, float, str, list, dict …

        Raises ExpressionFailed when CEL gives an error (in this library that is a value, and a truthy one).
        """
        ready = data if isinstance(data, Data) else prepare(data)
        try:
            result = self._program.eval(data=ready.values)
            if result.type() in (cel.Type.ERROR, cel.Type.UNKNOWN):
                raise ExpressionFailed(_said(str(result.value())))
            return result.plain_value()
        except RuntimeError as why:  # beyond the budget of iterations or of nesting
            raise ExpressionFailed(_said(str(why))) from why
        except TypeError as why:  # an optional cannot be turned into a plain value
            raise ExpressionFailed("gives an optional value: end it with .orValue(…)") from why


def compile_expression(
    text: str,
    variables: Mapping[str, Kind],
    *,
    place: str,
    functions: Iterable[Function] = (),
    returns: Kind = "any",
) -> Expression:
    """Compile `text`, which may use these variables and functions and must give `returns`.

    Raises BadFile at `place` for syntax, unknown names (with the nearest one that exists) and wrong types.
    """
    names = [*variables, *(function.name for function in functions)]
    environment = cel.NewEnv(
        variables={name: _TYPES[kind] for name, kind in variables.items()},
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), _extension(functions)],
    )
    try:
        program = environment.compile(text)
    except RuntimeError as why:
        raise BadFile([Problem(place, said) for said in _complaints(str(why), names)]) from why
    found = _kind(program.return_type())
    if returns not in ("any", found) and found != "any":
        raise BadFile([Problem(place, f"CEL: gives {program.return_type().name()}, but {returns} is needed")])
    return Expression(text, place, found, program)


def lookup(tables: Mapping[str, Mapping[str, Any]]) -> Function:
    """`lookup(table, key)`: the value that a table of the file has for a key, or null. An unknown table fails."""

    def find(table: str, key: str) -> Any:
        if table not in tables:
            raise ExpressionFailed(f"no table {table!r}{nearest(table, tables)}")
        return ready[table].get(key)

    ready = {name: {key: _plain(value) for key, value in table.items()} for name, table in tables.items()}
    return Function("lookup", ("string", "string"), find)


def prepare(values: Mapping[str, Any]) -> Data:
    """Plain JSON as CEL takes it: Decimal and integers beyond 64 bits become doubles; tuples and sets, lists."""
    return Data({name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    match value:
        case dict() | Mapping():
            return {key: _plain(member) for key, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case set() | frozenset():
            return sorted(_plain(member) for member in value)
        case Decimal():
            return float(value)
        case bool() | None | str():
            return value
        case int() if not -_LARGEST_INT <= value < _LARGEST_INT:
            return float(value)
        case _:
            return value


def _extension(functions: Iterable[Function]) -> Any:
    return cel.CelExtension(
        "tocsin",
        [
            cel.FunctionDecl(
                function.name,
                [
                    cel.Overload(
                        f"{function.name}_{'_'.join(function.parameters)}",
                        return_type=_TYPES[function.returns],
                        parameters=[_TYPES[kind] for kind in function.parameters],
                        impl=function.call,
                    )
                ],
            )
            for function in functions
        ],
    )


def _kind(found: Any) -> Kind:
    for kind, kind_type in _TYPES.items():
        if found == kind_type:
            return kind
    name = found.name().partition("<")[0].lower()
    return cast(Kind, name) if name in ("list", "map") else "any"


def _complaints(said: str, names: Iterable[str]) -> list[str]:
    """One sentence for each fault that the compiler found, in its words, with the nearest name that exists."""
    found = []
    for column, text in _COMPLAINT.findall(said):
        unknown = _UNDECLARED.search(text)
        hint = nearest(unknown[1], names) if unknown else ""
        where = f", column {column}" if int(column) > 0 else ""
        found.append(f"CEL{where}: {_NOISE.sub('', text)}{hint}")
    return list(dict.fromkeys(found)) or [f"CEL: {_said(said)}"]


def _said(text: str) -> str:
    first = next(iter(text.splitlines()), text)
    return _STATUS.sub("", first).strip()
