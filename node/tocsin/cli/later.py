"""Later: the moments that a person names for an embargo, an expiry, a lower TLP; and what is planned, in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from tocsin.cli.console import say
from tocsin.cli.ids import short
from tocsin.cli.session import Session, whoever
from tocsin.cli.wording import moment_text, zone
from tocsin.errors import BadInput
from tocsin.policy.configuration import Configuration
from tocsin.sharing import schedule as planning
from tocsin.sharing.approvals import Person
from tocsin.sharing.node import Node
from tocsin.stix.markings import Tlp, tlp_from_word
from tocsin.store.schedule import Planned
from tocsin.store.transaction import Transaction

_SPAN = re.compile(r"\+(\d{1,4})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def read_moment(text: str, now: int, tz: tzinfo) -> int:
    """A moment in µs: `+3h` from now, or an ISO 8601 time, in `tz` where it says no zone. Raises BadInput."""
    if span := _SPAN.fullmatch(text):
        return now + int(span[1]) * _SECONDS[span[2]] * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as why:
        raise BadInput(f"{text!r} is no time: such as 2026-03-01T12:00Z, 2026-03-01 12:00, +3h or +2d") from why
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=tz)
    return int(moment.timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Later:
    """The options of `publish` that speak of another moment, as they were typed."""

    from_: str | None
    until: str | None
    then_tlp: str | None

    async def read(self, here: Session, configuration: Configuration, person: Person | None = None) -> "Plans":
        """What they mean, and whose plans they are. Raises BadInput."""
        tz = zone(configuration.settings.node.timezone)
        async with here.store.reading() as tx:
            now = await tx.now()
        level, moment = None, None
        if self.then_tlp is not None:
            word, at, when = self.then_tlp.partition("@")
            if not at:
                raise BadInput(f"{self.then_tlp!r}: a level and a time, such as green@+30d")
            level, moment = tlp_from_word(word), read_moment(when, now, tz)
        begins = read_moment(self.from_, now, tz) if self.from_ is not None else None
        ends = read_moment(self.until, now, tz) if self.until is not None else None
        if begins is not None and ends is not None and ends <= begins:
            raise BadInput("it would end before it begins")
        return Plans(tz, begins, ends, level, moment, person)


@dataclass(frozen=True, slots=True)
class Plans:
    """What is to happen later to what is published. Times in µs."""

    tz: tzinfo
    begins: int | None
    ends: int | None
    level: Tlp | None
    lowered: int | None
    person: Person | None = None

    async def note(
        self,
        tx: Transaction,
        configuration: Configuration,
        node: Node,
        ids: Sequence[str],
        *,
        now: int,
        key: str | None,
        follow: bool,
    ) -> None:
        """Plan it. Raises Refused and BadInput where that cannot be."""
        by = whoever() if self.person is None else self.person.name
        if self.begins is not None:
            await planning.publish_later(
                tx,
                configuration,
                node,
                ids,
                due=self.begins,
                by=by,
                now=now,
                key=key,
                follow=follow,
                person=self.person,
            )
        if self.ends is not None:
            await planning.withdraw_later(tx, ids, due=self.ends, by=by, now=now, key=key)
        if self.level is not None and self.lowered is not None:
            await planning.downgrade_later(tx, ids, level=self.level, due=self.lowered, by=by, now=now)

    def show(self, ids: Sequence[str]) -> None:
        named = " ".join(map(short, ids))
        if self.begins is not None:
            say(f"Held until {moment_text(self.begins, self.tz)}, then published: {named}")
        if self.ends is not None:
            say(f"Withdrawn at {moment_text(self.ends, self.tz)}: {named}")
        if self.level is not None and self.lowered is not None:
            say(f"{self.level.label} from {moment_text(self.lowered, self.tz)} on: {named}")


def planned_as_value(planned: Planned, collections: Mapping[str, str]) -> dict[str, Any]:
    """For `--json`; times in microseconds, `collection` null for everywhere."""
    return {
        "what": planned.kind,
        "collection": collections.get(planned.collection_id),
        "due": planned.due,
        "by": planned.by,
        **{name: value for name, value in planned.details.items() if name != "person"},
    }


def planned_words(planned: Planned, collections: Mapping[str, str], tz: tzinfo) -> str:
    """`to be published in c at 2026-03-01 12:00 UTC (mari)`."""
    where = f" in {collections.get(planned.collection_id, planned.collection_id)}" if planned.collection_id else ""
    what = {
        "publish": f"to be published{where}",
        "withdraw": f"to be withdrawn{where}",
        "downgrade": f"to be marked TLP:{str(planned.details.get('tlp', '')).upper()}",
    }[planned.kind]
    return f"{what} at {moment_text(planned.due, tz)} ({planned.by})"
