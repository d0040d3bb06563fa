"""Rights: who asks, and which collections are offered to him, by the configuration in force alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.auth import Caller, admitted, authenticate, read_credential
from tocsin.errors import NotAllowed, NotFound, Refused, Unavailable
from tocsin.policy.configuration import Configuration
from tocsin.settings import CollectionSettings, EmptyPage
from tocsin.sharing.apply import in_force, parsed
from tocsin.store import accounts, grants, releases
from tocsin.store.moment import Moment
from tocsin.store.transaction import Store, Transaction


@dataclass(frozen=True, slots=True)
class OfferedCollection:
    """A collection that this caller may read, or add to, or both."""

    id: str
    key: str
    settings: CollectionSettings
    can_read: bool
    can_write: bool


@dataclass(frozen=True, slots=True)
class Rights:
    """A known caller under one configuration. `offered`: what he may use, in the order of the configuration; the
    rest is not for him to know."""

    configuration: Configuration
    caller: Caller
    offered: tuple[OfferedCollection, ...]

    @property
    def empty_page(self) -> EmptyPage:
        """What the operator chose for this caller where a page of objects is empty."""
        party = self.configuration.settings.party(self.caller.name)
        return party.empty_page if party else "omit"

    def collection(self, named: str) -> OfferedCollection:
        """By id or alias. Raises NotFound for one that is absent or not for this caller."""
        for offered in self.offered:
            if named in (offered.id, offered.key):
                return offered
        raise NotFound(f"no collection {named!r} for {self.caller.name}")

    def readable(self, named: str) -> OfferedCollection:
        """Raises NotFound, or NotAllowed for a collection that the caller may only add to."""
        offered = self.collection(named)
        if not offered.can_read:
            raise NotAllowed("You may add objects to this collection, but not read it.")
        return offered

    def writable(self, named: str) -> OfferedCollection:
        """Raises NotFound, or NotAllowed for a collection that the caller may only read."""
        offered = self.collection(named)
        if not offered.can_write:
            raise NotAllowed("You may read this collection, but not add to it.")
        return offered


@dataclass(frozen=True, slots=True)
class Heard:
    """A log that the caller is told of. `former`: he may no longer read it, and is told of what was taken back of
    what he was offered, and of nothing else."""

    id: str
    former: bool


async def hearing(tx: Transaction, rights: Rights, named: str) -> Heard:
    """The log that the caller reads, or once did, by id or alias.

    Raises NotFound, or NotAllowed for a collection that he may only add to and never read.
    """
    offered = next((one for one in rights.offered if named in (one.id, one.key)), None)
    if offered is not None and offered.can_read:
        return Heard(offered.id, former=False)
    for row in await releases.collections(tx):
        if named in (row.id, row.key):
            given = await grants.grants(tx, party_id=rights.caller.party.id, collection_id=row.id)
            if any(grant.role == "reader" for grant in given):
                return Heard(row.id, former=True)
    return Heard(rights.readable(named).id, former=False)


async def configured(tx: Transaction) -> Configuration:
    """The configuration in force. Raises Unavailable where none was applied yet."""
    try:
        return await in_force(tx)
    except Refused as why:
        raise Unavailable("This node has no configuration in force yet.") from why


async def read_rights(tx: Transaction, headers: Mapping[str, str]) -> Rights:
    """Who asks, and what for, as this transaction sees it. Raises NotAuthenticated, NotAllowed, Unavailable."""
    configuration = await configured(tx)
    caller = await authenticate(tx, configuration, headers)
    return _rights(configuration, caller, {row.key: row.id for row in await releases.collections(tx)})


async def glance_at_rights(store: Store, headers: Mapping[str, str]) -> tuple[Rights, Moment] | None:
    """The same by one question outside any transaction, and the moment of which it is.

    None where he has none, or his configuration was not read yet: a transaction is for that. Raises
    NotAuthenticated, NotAllowed.
    """
    credential = read_credential(headers)
    found = await accounts.glance_at_holder(store, credential.token)
    if found is None:
        return None
    holder, moment = found
    configuration = parsed(holder.configuration_sha256)
    if configuration is None:
        return None
    return _rights(configuration, admitted(configuration, credential, holder.party), holder.collections), moment


def _rights(configuration: Configuration, caller: Caller, ids: Mapping[str, str]) -> Rights:
    name = caller.name
    offered = (
        OfferedCollection(
            ids[key], key, settings, configuration.can_read(name, key), configuration.can_write(name, key)
        )
        for key, settings in configuration.settings.collections.items()
        if key in ids
    )
    return Rights(configuration, caller, tuple(one for one in offered if one.can_read or one.can_write))
