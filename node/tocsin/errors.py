"""Errors: every way a request can be refused, each with a sentence for a person.

Nothing here knows HTTP or exit codes: `problems` turns these into TAXII error messages, `cli` into words
and an exit code. Raise the narrowest type; the text is shown as it stands.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in what somebody gave us, and where: `file:line`, or a path such as `objects[3].created`."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class TocsinError(Exception):
    """What went wrong, in a sentence."""


class BadInput(TocsinError):
    """Something given to us is not what it should be; each problem says where."""

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BadFile(BadInput):
    """A file of ours (configuration, policy, mapping) or a record to import cannot be used as it is."""


class TooLarge(BadInput):
    """A body, an object or a string is above a limit."""


class NotFound(TocsinError):
    """It is not here, or not for who asks: the two are never told apart."""


class NotAllowed(TocsinError):
    """Who asks is known and may see it, but may not do this to it."""


class NotAuthenticated(TocsinError):
    """No credential, or one that is unknown or revoked."""


class Refused(TocsinError):
    """A person asked for something that would break a promise, or that needs an explicit yes."""


class Unavailable(TocsinError):
    """The node cannot do this now; asking again later may succeed."""


class NoRoom(Unavailable):
    """The disk is full: nothing can be stored until somebody makes room; what is stored can be read."""


class Paused(Unavailable):
    """The operator has paused the exchange with who asks, or with everybody."""


class PeerFailed(TocsinError):
    """A peer could not be reached, or did not speak the protocol.

    What the peer said may stand in the text: it is cut, and nothing in it is left that a terminal would obey or a
    database would not take.
    """

    def __init__(self, text: str) -> None:
        shown = text if len(text) <= 1000 else f"{text[:999]}…"
        super().__init__(
            "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
        )
