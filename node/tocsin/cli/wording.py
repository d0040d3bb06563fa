"""Wording: values as a duty officer reads them: short words, ages, times in the node's zone. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.stix.incident import Findings
from tocsin.store.pauses import EVERYBODY, Pause

# The ten categories in a list of incidents; `show` has them in full.
EFFECT_WORDS = {
    "message-manipulation": "message",
    "external-denial-of-service": "ext-dos",
    "internal-denial-of-service": "int-dos",
    "data-attack": "data-attack",
    "physical-attack": "physical",
    "exploitation-of-sensors": "sensors",
    "exploitation-of-end-hosts": "end-hosts",
    "exploitation-of-network-infrastructure": "network",
    "exploitation-of-application-server": "app-server",
    "exploitation-of-data-in-transit": "in-transit",
}
# of a collection in which a rule fails: what already stands there is not taken away by an error
STUCK = "the objects on which a rule fails are kept out, and judged again at the next apply"
_TYPE_LETTERS = {"disruptive": "D", "exploitive": "E", "mixed": "M", "undetermined": "U"}
_DETERMINATIONS = {"suspected": "susp", "confirmed": "conf", "blocked": "blocked", "failed-attempt": "failed"}
_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"))


def zone(name: str) -> tzinfo:
    """The zone of `node.timezone`; UTC for a name that this machine does not know (`tocsin check` says so)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def moment_text(micros: int, tz: tzinfo) -> str:
    """`2025-03-14 03:12 EET`."""
    return datetime.fromtimestamp(micros // 1_000_000, tz).strftime("%Y-%m-%d %H:%M %Z")


def pause_words(found: Pause, tz: tzinfo) -> str:
    """`paused since 2025-03-14 03:12 EET by mari: the token was seen on a forum`."""
    everything = "everything is " if found.party_id == EVERYBODY else ""
    return f"{everything}paused since {moment_text(found.since, tz)} by {found.by}: {found.because}"


def pause_as_value(found: Pause | None) -> dict[str, Any] | None:
    """For `--json`; None where no pause holds. `since` in microseconds."""
    return {"since": found.since, "by": found.by, "because": found.because} if found else None


def age(micros: int) -> str:
    """A span as `3h` or `12d`, in the greatest unit that it fills."""
    seconds = max(micros, 0) // 1_000_000
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def occurred(findings: Findings) -> str:
    """`2025-03-14`, `2025-03`, `2025`, `?`: never more than is known, and never more than a day."""
    period = findings.times.occurred
    start = (period.start or period.end) if period else None
    return start.value[:10] if start else "?"


def state(findings: Findings) -> str:
    """`susp/open`, `conf/contained`, `conf/closed`, `false`."""
    if findings.determination == "false-positive":
        return "false"
    status: str = findings.investigation_status or "open"
    if status == "open" and findings.times.contained:
        status = "contained"
    return f"{_DETERMINATIONS.get(findings.determination or '', '?')}/{status}"


def type_and_effects(findings: Findings) -> str:
    """`D data-attack`, `M data-attack+app-server`, `U`, `foothold`, `not-cyber`."""
    match findings.effect_type:
        case "not-cyber":
            return "not-cyber"
        case "no-effect":
            return findings.stage if findings.stage not in (None, "effect", "unknown") else "no-effect"
        case kind:
            effects = "+".join(EFFECT_WORDS[effect.effect] for effect in findings.effects)
            return f"{_TYPE_LETTERS[kind]} {effects}".rstrip()


def where(findings: Findings) -> str:
    """`health/hospital EE,LV`: the sector in NIS2's words where it is given so, else its NAICS code."""
    named = [sector for sector in findings.sectors if sector.startswith("nis2:")] or list(findings.sectors)
    sector = named[0].removeprefix("nis2:").removeprefix("naics:") if named else ""
    return f"{sector} {','.join(findings.countries)}".strip()


def severity(findings: Findings) -> str:
    """`4 (3–5)` or `?`."""
    index = findings.severity.disruption_index if findings.severity else None
    if index is None or index.best is None:
        return "?"
    bounds = f" ({index.lo}–{index.hi})" if index.lo is not None and index.hi is not None else ""
    return f"{index.best}{bounds}"


def confidence(findings: Findings) -> str:
    """`85m` mapped, `90a` assessed, `60r` reported; `?` without an effect."""
    sure = findings.confidence
    basis = findings.classified.basis if findings.classified else None
    if sure is None:
        return "?"
    return f"{sure}{(basis or findings.effects[0].basis)[0]}"


_WITH_COUNTRIES = re.compile(r"(.*\S) ([A-Z]{2}(?:,[A-Z]{2})*)")


def clipped(text: str, length: int) -> str:
    """The text cut to `length`; of `health/hospital EE,LV` the sector is cut, and the countries stay."""
    if len(text) <= length:
        return text
    if (place := _WITH_COUNTRIES.fullmatch(text)) and len(place[2]) + 4 <= length:
        return f"{clipped(place[1], length - len(place[2]) - 1)} {place[2]}"
    return text[: max(length - 1, 1)] + "…"


def fitted(
    rows: Sequence[Sequence[str]], narrowest: Mapping[str, int], droppable: Sequence[str], width: int
) -> list[list[str]]:
    """The rows, the first of them the names of the columns, so that all of them, a space apart, fit into `width`.

    `narrowest` is how far a column may be cut, the widest first; what it does not name is never cut. Where that
    does not do, the columns of `droppable` go as a whole, in their order.
    """
    kept = [list(row) for row in rows]
    for name in (*droppable, None):
        widths = _cut([max(map(len, column)) for column in zip(*kept, strict=True)], kept[0], narrowest, width)
        if name is None or _total(widths) <= width:
            break
        if name in kept[0]:
            at = kept[0].index(name)
            kept = [[*row[:at], *row[at + 1 :]] for row in kept]
    return [[clipped(cell, length) for cell, length in zip(row, widths, strict=True)] for row in kept]


def _cut(widths: list[int], names: Sequence[str], narrowest: Mapping[str, int], width: int) -> list[int]:
    """The widths of columns after cutting as much as must be, and may."""
    least = [narrowest.get(name, 0) for name in names]
    while _total(widths) > width:
        loose = [index for index, fewest in enumerate(least) if fewest and widths[index] > fewest]
        if not loose:
            break
        widths[max(loose, key=lambda index: widths[index])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(widths) - 1


# what a copy does not have from its original, where the name of the property would not say it
_OMITTED = {
    "labels": "labels (the copy has its own)",
    "effects effects.rule": "the rule behind each effect",
    "effects classified.mapping": "the mapping",
    "effects classified.mapping_version": "the version of the mapping",
    "effects classified.at": "when it was classified",
}


def omitted_words(omitted: Iterable[str]) -> list[str]:
    """What a copy leaves out, each once, in words: `actor type`, `the mapping`, `object refs: 2 of 3`."""
    words = (
        _OMITTED.get(path) or path.removeprefix("effects ").removeprefix("incident-core ") for path in omitted
    )
    return list(dict.fromkeys(word.replace("_", " ").replace(".", " ") for word in words))


def listed(words: Iterable[str], nothing: str = "—") -> str:
    return ", ".join(words) or nothing
