"""Dates: a written time as a moment that is as precise as its text, in the forms that a mapping may name."""

import re
from datetime import datetime
from functools import lru_cache

from tocsin.errors import BadInput
from tocsin.intake.language import DATE_FORMS
from tocsin.stix.effects import Fidelity
from tocsin.stix.incident import Moment, moment, moment_of

# a date by the part it begins with; `-` stands for the sign between the parts, and only the year must be there
_DATE_BY_FIRST_PART = {
    "D": r"(?:(?:(?P<day>\d{1,2})-)?(?P<month>\d{1,2})-)?(?P<year>\d{4})",
    "M": r"(?:(?P<month>\d{1,2})-(?:(?P<day>\d{1,2})-)?)?(?P<year>\d{4})",
    "Y": r"(?P<year>\d{4})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?)?",
}
_DATES = {
    form: re.compile(
        _DATE_BY_FIRST_PART[form[0]].replace("-", re.escape(form.strip("DMY")[0])) + r"(?:,?[ T](?P<clock>.+))?",
        re.ASCII,
    )
    for form in DATE_FORMS
}
_MOST_REMEMBERED = 20_000  # times: a source repeats its days
_LONGEST_REMEMBERED = 40  # characters: no date is longer
_FIRST_YEAR = 1950  # an earlier year is a slip of the pen: there was nothing to attack


Reading = tuple[Moment | None, str]


def read_date(text: str, form: str) -> Reading:
    """A written time, and its text if it could be read. It is never cut: nobody can tell which part is wrong."""
    return _remembered(text, form) if len(text) <= _LONGEST_REMEMBERED else _read(text, form)


def _read(text: str, form: str) -> Reading:
    try:
        found = _moment_from(_turned(text, form))
    except BadInput:
        return None, ""
    return (found, text) if found.earliest().year >= _FIRST_YEAR else (None, "")


_remembered = lru_cache(_MOST_REMEMBERED)(_read)


def read_parts(text: str) -> Reading:
    """A time made of parts, and as much of it as could be read: of an impossible day the month is left."""
    known = text
    while known:
        found, read = read_date(known, "YYYY-MM-DD")
        if found is not None:
            return found, read
        known = known.rpartition("-")[0]
    return None, ""


def _turned(text: str, form: str) -> str:
    """A date in a form of the mapping, written as `YYYY-MM-DD`; another text stays as it is."""
    found = _DATES[form].fullmatch(text)
    if found is None:
        return text
    day = "-".join(f"{found[part]:0>2}" for part in ("year", "month", "day") if found[part])
    return f"{day} {found['clock']}" if found["clock"] else day


def _moment_from(text: str) -> Moment:
    """A time as texts write it: `2024`, `2024-03`, `2024-03-05`, or with a clock time (and its zone; UTC else)."""
    day, sign, clock = text.replace(" ", "T", 1).partition("T")
    if not sign:
        return moment(day)
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError as why:
        raise BadInput(f"{text[:40]!r} is not a time") from why
    if instant.tzinfo is None:
        instant = datetime.fromisoformat(f"{day}T{clock}Z")
    plain = clock.partition("+")[0].partition("-")[0].rstrip("Zz")
    known: tuple[Fidelity, ...] = ("hour", "minute", "second")
    return moment_of(instant, known[min(plain.count(":"), 2)])
