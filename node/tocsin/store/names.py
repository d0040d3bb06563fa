"""Names: what parties and collections are called in `tocsin.yaml`; labels that may change. Pure.

State hangs on ids, never on names. `was: old` beside a new name moves the label, once; it may stay in the file.
"""

from collections.abc import Collection, Mapping


def moves(known: Collection[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Which known name becomes which new one, given the `was:` of each new name.

    A name that is taken stays as it is, unless it moves on itself; so a `was:` that has done its work does
    nothing, and two names that each `was:` the other stay apart.
    """
    found: dict[str, str] = {}
    while True:
        more = {
            old: new
            for new, old in renamed.items()
            if old in known and old not in found and (new not in known or new in found)
        }
        if not more:
            return found
        found |= more
