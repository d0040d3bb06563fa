"""Status: on one screen, what waits for a person. Exit code 3 when something does."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

import typer

from tocsin.cli.console import plural, say, say_json
from tocsin.cli.listing import all_seen, look_around
from tocsin.cli.session import HomeOption, JsonOption, Session, proposed, run, session
from tocsin.cli.start import changed_files
from tocsin.cli.wording import STUCK, pause_as_value, pause_words, zone
from tocsin.errors import BadFile
from tocsin.peers.status import PeerStatus, peer_statuses
from tocsin.policy.configuration import Configuration
from tocsin.sharing import notices
from tocsin.sharing.approvals import half_approved
from tocsin.store import parties, pauses, releases
from tocsin.store.pauses import Pause

_CALM = ("in step", "suspended", "paused", "nothing pulled")  # a suspension or a pause is a person's own doing


def add_to(app: typer.Typer) -> None:
    """Give the app this file's command."""
    app.command("status", rich_help_panel="Start")(status)


def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What waits to be published or classified, what is stuck, how peers stand, what is not in force."""
    found = run(_status(home))
    if as_json:
        say_json(found.as_value())
    else:
        found.show()
    if found.needs_a_person:
        raise typer.Exit(3)


@dataclass(frozen=True, slots=True)
class _Status:
    """Everything on the screen. `files`: how they differ from what is in force, in words; '' if they do not."""

    name: str
    incidents: int
    from_others: int
    review: int
    waiting: int
    approving: int
    held: int
    collections: tuple[tuple[str, int, int, str | None], ...]  # key, objects, readers, why stuck
    peers: tuple[PeerStatus, ...]
    files: str
    overdue: int = 0  # objects taken back of which some node has not said in time what it did with them
    pauses: tuple[tuple[str, Pause], ...] = ()  # by account or peer; '*' for everybody
    tz: tzinfo = UTC

    @property
    def quarantined(self) -> int:
        return sum(peer.quarantined for peer in self.peers)

    @property
    def needs_a_person(self) -> bool:
        stuck = any(why for *_, why in self.collections)
        troubled = any(peer.words not in _CALM for peer in self.peers)
        return bool(
            self.overdue
            or self.review
            or self.waiting
            or self.approving
            or stuck
            or troubled
            or self.quarantined
            or self.files
        )

    def as_value(self) -> dict[str, Any]:
        return {
            "node": self.name,
            "needs_a_person": self.needs_a_person,
            "incidents": self.incidents,
            "from_others": self.from_others,
            "review": self.review,
            "waiting": self.waiting,
            "approving": self.approving,
            "held": self.held,
            "overdue": self.overdue,
            "quarantined": self.quarantined,
            "paused": [{"name": name, **(pause_as_value(found) or {})} for name, found in self.pauses],
            "collections": [
                {"collection": key, "standing": standing, "readers": readers, "stuck": why}
                for key, standing, readers, why in self.collections
            ],
            "peers": [
                {
                    "peer": peer.name,
                    "stands": peer.words,
                    "quarantined": peer.quarantined,
                    "overdue": peer.overdue,
                }
                for peer in self.peers
            ],
            "files": self.files,
        }

    def show(self) -> None:
        say(f"{self.name}: {plural(self.incidents, 'incident')}, {self.from_others:,} of them from others", "bold")
        for who, found in self.pauses:
            words = pause_words(found, self.tz)
            say(f"  {words[0].upper()}{words[1:]}" if who == "*" else f"  {who}: {words}", "bold")
        say()
        self._line(self.review, "to review", "a person must classify them: tocsin incidents --review")
        self._line(self.waiting, "to publish", "nobody sees them before: tocsin publish --waiting")
        self._line(self.approving, "to approve", "they wait for a further person: tocsin publish ID --as NAME")
        self._line(self.held, "held", "kept here by a person: tocsin incidents --held")
        self._line(self.quarantined, "in quarantine", "they claim what they may not: tocsin quarantine list")
        self._line(self.overdue, "overdue", "nodes that do not answer withdrawals: tocsin withdrawals")
        for key, standing, readers, why in self.collections:
            say(f"  {key}: {plural(standing, 'object')}, {plural(readers, 'reader')}{', STUCK' if why else ''}")
            if why:
                say(f"      {STUCK}: {why}")
        for peer in self.peers:
            say(f"  {peer.name}: {peer.words}")
        say()
        say(self.files or "The files are what is in force.")
        if not self.needs_a_person:
            say("Nobody is needed.")

    def _line(self, count: int, what: str, then: str) -> None:
        if count:
            say(f"  {count:>5,} {what:<14} {then}")


async def _status(given: str | None) -> _Status:
    async with session(given) as here:
        configuration = await here.configuration()
        incidents = others = review = waiting = held = 0
        async with here.store.reading() as tx:
            around = await look_around(tx, configuration)
            async for seen in all_seen(tx, around):
                incidents += 1
                others += not seen.ours
                review += seen.needs_review
                waiting += seen.waiting
                held += seen.held
            approving = {id_ for _, id_, _ in await half_approved(tx, configuration)}
            rows = {row.key: row for row in await releases.collections(tx)}
            late = await notices.late(tx, configuration)
            peers = tuple(await peer_statuses(tx, configuration, late=late))
            people = {party.id: party.name for party in await parties.parties(tx)}
            holding = await pauses.pauses(tx)
        return _Status(
            name=configuration.settings.node.name,
            incidents=incidents,
            from_others=others,
            review=review,
            waiting=waiting,
            approving=len(approving),
            held=held,
            collections=tuple(
                (key, rows[key].standing, len(settings.readers), rows[key].stuck)
                for key, settings in configuration.settings.collections.items()
            ),
            peers=peers,
            files=_files(here, configuration),
            overdue=late.objects,
            pauses=tuple((people.get(id_, "*"), found) for id_, found in holding.items()),
            tz=zone(configuration.settings.node.timezone),
        )


def _files(here: Session, configuration: Configuration) -> str:
    changed = changed_files(configuration.files, here.home.configuration_files())
    if not changed:
        return ""
    try:
        proposed(here.home)
    except BadFile as why:
        return f"The files cannot be used ({plural(len(why.problems), 'problem')}: tocsin check)."
    return f"Not in force yet: {', '.join(changed)} (tocsin apply)."
