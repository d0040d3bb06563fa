"""Retry: when a peer that failed is asked again. Pure; the time and the dice are given.

The pause doubles with every failure in a row, from a quarter of a minute up to an hour, and half of it is left to
chance, so that nodes which failed together do not come back together. A peer that says when to come back is
believed within that hour.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 15.0  # seconds
LONGEST_PAUSE = 3600.0


def pause_after(failures: int, chance: float, asked: float | None = None) -> float:
    """Seconds until the next attempt, after so many failures in a row (1 or more).

    `chance` is a number from 0 up to 1. `asked` is what the peer asked for: never less is waited, nor more than
    an hour because of it.
    """
    doubled = FIRST_PAUSE * 2.0 ** min(max(failures, 1) - 1, 20)
    longest = min(doubled, LONGEST_PAUSE)
    pause = longest / 2 + longest / 2 * chance
    return max(pause, min(asked, LONGEST_PAUSE)) if asked is not None else pause


def retry_after(header: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks for (RFC 9110 §10.2.3): a number or a date; None for anything else.

    What lies in the past asks for nothing.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def due_after_success(every: int, chance: float) -> float:
    """Seconds until a collection that is in step is asked again: its interval, give or take a twentieth."""
    return every * (0.95 + 0.1 * chance)
