"""CEL expressions: refused when a file is read, or evaluated on plain data; never an error taken for a value."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tocsin.errors import BadFile
from tocsin.policy.expression import ExpressionFailed, Function, compile_expression, lookup, prepare

VARIABLES = {"i": "any", "object.tlp": "string", "object.countries": "strings", "n": "int"}
NAICS = lookup({"naics2": {"62": "health", "22": Decimal("1.5")}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Syntax error"),
        ("n +", "Syntax error"),
        ("nn > 1", "undeclared reference to 'nn'; did you mean 'n'?"),
        ("object.tpl == 'red'", "undeclared reference to 'object.tpl'; did you mean 'object.tlp'?"),
        ("lokup('naics2', '62') == ''", "undeclared reference to 'lokup'; did you mean 'lookup'?"),
        ("object.countries > 3", "no matching overload"),
        ("n + 'x' == ''", "no matching overload"),
        ("object.tlp", "gives STRING, but bool is needed"),
        ("size(object.countries)", "gives INT, but bool is needed"),
        ("(" * 100 + "true" + ")" * 100, "recursion limit"),
        ("'" + "x" * 100_001 + "' == ''", "codepoint limit"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_place(text, said):
    with pytest.raises(BadFile) as refused:
        compile_expression(text, VARIABLES, place="policies/p.yaml:7", functions=[NAICS], returns="bool")
    assert said in str(refused.value)
    assert all(problem.place == "policies/p.yaml:7" for problem in refused.value.problems)


def test_every_unknown_name_is_reported_at_once():
    with pytest.raises(BadFile) as refused:
        compile_expression("a + b", VARIABLES, place="m.yaml:1")
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("text", "data", "value"),
    [
        ("i.?a.?b.orValue('x')", {"i": {}}, "x"),
        ("i.?a[?0].?b.orValue('x')", {"i": {"a": [{"b": "y"}]}}, "y"),
        ("i.a == null", {"i": {"a": None}}, True),
        ("i.a > 1", {"i": {"a": Decimal("1.5")}}, True),
        ("i.a == 2", {"i": {"a": Decimal("2.0")}}, True),
        ("i.a > 1", {"i": {"a": 2**80}}, True),
        ("'x' in i", {"i": ("x", "y")}, True),
        ("i", {"i": frozenset({"b", "a"})}, ["a", "b"]),
        ("i", {"i": {"a": [{"b": Decimal("0.5")}]}}, {"a": [{"b": 0.5}]}),
        ("i.split('-')", {"i": "a-b"}, ["a", "b"]),
        ("lookup('naics2', i.substring(0, 2))", {"i": "622110"}, "health"),
        ("lookup('naics2', '22')", {}, 1.5),
        ("lookup('naics2', '99')", {}, None),
        ("size(object.countries) > 1", {"object.countries": ["EE", "LV"]}, True),
    ],
)
def test_an_expression_gives_a_plain_value(text, data, value):
    expression = compile_expression(text, VARIABLES, place="", functions=[NAICS])
    assert expression.value(data) == value
    assert expression.value(prepare(data)) == value


@pytest.mark.parametrize(
    ("text", "data", "said"),
    [
        ("i.a", {"i": {}}, 'Key not found in map : "a"'),
        ("i.a > 1", {"i": {"a": None}}, "No matching overloads"),
        ("i[3]", {"i": [1]}, "Index error"),
        ("n > 1", {}, "No value with name"),
        ("n > 1", {"n": "x"}, "Unexpected value type"),
        ("1 / n", {"n": 0}, "divide by zero"),
        ("i.matches('[')", {"i": "x"}, "regular expression"),
        ("i.?a", {"i": {"a": 1}}, "end it with .orValue"),
        ("lookup('naics', '62')", {}, "no table 'naics'; did you mean 'naics2'?"),
        ("i.map(a, i.map(b, i.map(c, a + b + c)))", {"i": list(range(50))}, "Iteration budget"),
    ],
)
def test_an_error_is_raised_and_never_returned(text, data, said):
    expression = compile_expression(text, VARIABLES, place="", functions=[NAICS])
    with pytest.raises(ExpressionFailed) as failed:
        expression.value(data)
    assert said in str(failed.value)


def test_what_a_function_raises_makes_the_evaluation_fail():
    def boom(text):
        raise KeyError(text)

    expression = compile_expression("boom('x')", {}, place="", functions=[Function("boom", ("string",), boom)])
    with pytest.raises(ExpressionFailed, match="x"):
        expression.value({})


def test_a_regular_expression_that_backtracks_elsewhere_is_quick_here():
    expression = compile_expression("i.matches('^(a+)+$')", {"i": "any"}, place="")
    assert expression.value({"i": "a" * 50_000 + "b"}) is False


def test_one_compiled_expression_serves_many_threads():
    expression = compile_expression(
        "i.map(a, lookup('t', a))", {"i": "any"}, place="", functions=[lookup({"t": {}})]
    )
    echo = compile_expression("i", {"i": "any"}, place="")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: (echo.value({"i": [n]}), expression.value({"i": ["x"]})), range(500)))
    assert answers == [([n], [None]) for n in range(500)]
