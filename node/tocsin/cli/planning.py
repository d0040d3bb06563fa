"""Planning: what a configuration would do, shown before it does it: by collection, by reader, with ids."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from tocsin.cli.console import plural, say, show_table, tell
from tocsin.cli.ids import short
from tocsin.sharing.apply import Change, CollectionPlan, Kind, Plan
from tocsin.sharing.preview import Gain, ReaderPlan

_WORDS: dict[Kind, str] = {
    "release": "release",
    "redact": "redact",
    "withdraw": "withdraw",
    "restore": "show whole",
}
_IDS_SHOWN = 6  # per kind and collection; --json has them all


def show_plan(shown: Plan) -> None:
    """Tables of what would move. Incidents are named; what comes along with them is counted."""
    if shown.is_in_force:
        say("The files are what is in force.")
        return
    moving = [one for one in shown.collections if one.touches_released or one.readers_added or one.readers_removed]
    if not moving:
        say("No reader would see anything else than now.")
    for collection in moving:
        _show_collection(collection)
        say()
    for reader in shown.readers:
        _show_reader(reader)
    for name, count in shown.beyond_reach:
        tell(
            f"{name} still holds {plural(count, 'object')} and can no longer be told of withdrawals: "
            "keep it in the file without collections"
        )


def _show_collection(collection: CollectionPlan) -> None:
    who = ", ".join(collection.readers) or "nobody"
    gone = " is no longer in the files: nobody reads it any more" if collection.closed else f", read by {who}"
    verb = "stands" if collection.standing == 1 else "stand"
    say(f"{collection.key}{gone} ({plural(collection.standing, 'object')} {verb} there)", "bold")
    for name in collection.readers_added:
        say(f"  {name} starts to read it: {plural(collection.standing, 'object')} that stand there already")
    for name in collection.readers_removed:
        say(f"  {name} stops reading it, and may keep what was offered")
    rows = [_row(collection, kind) for kind in _WORDS if collection.count(kind)]
    if rows:
        show_table(("", "objects", "incidents", "by rule"), rows, wrap="incidents")


def _row(collection: CollectionPlan, kind: Kind) -> tuple[str, str, str, str]:
    changes = [change for change in collection.changes if change.kind == kind]
    rules = dict.fromkeys(rule for change in changes for rule in change.rules)
    return f"  {_WORDS[kind]}", str(len(changes)), _incidents(changes), " ".join(rules)


def _incidents(changes: Sequence[Change]) -> str:
    ids = [short(change.object_id) for change in changes if change.type == "incident"]
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return " ".join(ids[:_IDS_SHOWN]) + more if ids else "none"


def _show_reader(reader: ReaderPlan) -> None:
    """What one reader notices, over all that he reads; and what he can tell to be the same."""
    parts = [f"{what} {plural(n, 'object')}" for what in get_args(Gain) if (n := reader.count(what))]
    tell(f"{reader.name}: {', '.join(parts) or 'notices no object come or go'}")
    if reader.links:
        shown = "; ".join(" = ".join(map(short, ids)) for ids in reader.links[:_IDS_SHOWN])
        more = f" and {len(reader.links) - _IDS_SHOWN} more" if len(reader.links) > _IDS_SHOWN else ""
        tell(f"can tell that these are the same: {shown}{more}", 4)


def moved(done: Plan) -> str:
    """What a configuration did, in a sentence or two; nothing where no reader notices it."""
    counts = Counter(change.kind for collection in done.collections for change in collection.changes)
    words: tuple[tuple[Kind, str], ...] = (
        ("release", "released"),
        ("restore", "whole again"),
        ("redact", "redacted"),
        ("withdraw", "withdrawn"),
    )
    said = [f"{counts[kind]:,} {word}" for kind, word in words if counts[kind]]
    sentences = [f"{', '.join(said)}."] if said else []
    for one in done.collections:
        for names, what in ((one.readers_added, "now"), (one.readers_removed, "no longer")):
            if names:
                verb = "reads" if len(names) == 1 else "read"
                sentences.append(f"{', '.join(names)} {what} {verb} {one.key}.")
    return " ".join(sentences)


def plan_as_value(shown: Plan) -> dict[str, Any]:
    """The plan for scripts."""
    return {
        "sha256": shown.proposed.sha256,
        "in_force": shown.in_force,
        "touches_released": shown.touches_released,
        "confirm": shown.taken_away,
        "collections": [_collection_as_value(collection) for collection in shown.collections],
        "readers": [_reader_as_value(reader) for reader in shown.readers],
        "beyond_reach": [{"name": name, "objects": count} for name, count in shown.beyond_reach],
    }


def _reader_as_value(reader: ReaderPlan) -> dict[str, Any]:
    return {
        "reader": reader.name,
        "starts": list(reader.starts),
        "stops": list(reader.stops),
        "moves": [{"id": move.object_id, "what": move.what} for move in reader.moves],
        "can_link": [list(ids) for ids in reader.links],
    }


def _collection_as_value(collection: CollectionPlan) -> dict[str, Any]:
    return {
        "collection": collection.key,
        "closed": collection.closed,
        "readers": list(collection.readers),
        "readers_added": list(collection.readers_added),
        "readers_removed": list(collection.readers_removed),
        "standing": collection.standing,
        "changes": list(_changes_as_value(collection.changes)),
    }


def _changes_as_value(changes: Iterable[Change]) -> Iterable[dict[str, Any]]:
    for change in changes:
        yield {"id": change.object_id, "type": change.type, "kind": change.kind, "rules": list(change.rules)}
