"""Negotiation: which form an answer has, and which a body may have (TAXII 2.1 §1.6.8, §3.1; RFC 9110 §12.5).

We answer `application/taxii+json;version=2.1` and nothing else, so the only question is whether a client can take
it. A client that names JSON, or everything, or no version can; one that names only TAXII 2.0 cannot, and must be
told so, because 406 is what makes it fall back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.problems import NotAcceptable, UnknownMedia

VERSION = "2.1"
_TAXII = ("application", "taxii+json")
_JSON = ("application", "json")
_PART = re.compile(r'(?:[^",;]|"(?:[^"\\]|\\.)*")+|[,;]')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of `Accept`, or a `Content-Type`."""

    kind: tuple[str, str]
    version: str | None
    charset: str | None
    quality: float


def check_accept(header: str | None) -> None:
    """Raises NotAcceptable when the client can take nothing that we can give."""
    if header is None or not header.strip():
        return
    ranges = list(_media_ranges(header))
    if any(given.kind == _JSON and given.quality > 0 for given in ranges):
        return
    # RFC 9110 §12.5.1: the most specific range that matches decides
    ours = [(_specificity(given), given.quality) for given in ranges if _matches(given)]
    if not ours or max(ours)[1] <= 0:
        raise NotAcceptable(f"This node answers application/taxii+json;version={VERSION}.")


def check_content_type(header: str | None, coding: str | None) -> None:
    """Raises UnknownMedia unless the body is said to be TAXII JSON of version 2.1 (or none named), not coded."""
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnknownMedia(f"Content-Encoding {coding[:40]!r} is not taken: send the body as it is.")
    given = next(_media_ranges(header or ""), None)
    if given is None or given.kind != _TAXII or given.version not in (None, VERSION):
        raise UnknownMedia(f"A body must be application/taxii+json;version={VERSION}.")
    if given.charset not in (None, "utf-8", "utf8"):
        raise UnknownMedia("A body must be UTF-8.")


def _matches(given: MediaRange) -> bool:
    if given.kind == _TAXII:
        return given.version in (None, VERSION)
    return given.kind in (("application", "*"), ("*", "*"))


def _specificity(given: MediaRange) -> int:
    if given.kind == _TAXII:
        return 3 if given.version else 2
    return 1 if given.kind[0] == "application" else 0


def _media_ranges(header: str) -> Iterator[MediaRange]:
    for name, rest in elements(header):
        first, _, second = name.lower().partition("/")
        yield MediaRange((first, second), rest.get("version"), _lower(rest.get("charset")), quality(rest))


def elements(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each element of a comma list with its parameters; quotes may hold commas and semicolons."""
    element: list[str] = []
    for part in (*_PART.findall(header), ","):
        if part != ",":
            element.append(part)
            continue
        words = [word.strip() for word in element if word != ";" and word.strip()]
        element = []
        if words:
            yield words[0], dict(_parameter(word) for word in words[1:])


def _parameter(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def quality(parameters: dict[str, str]) -> float:
    """The weight of an element (RFC 9110 §12.4.2)."""
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 1.0  # a weight that is none does not make a client unanswerable


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
