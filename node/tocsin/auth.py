"""Auth: who is asking. One credential, four spellings, looked up in the database at every request.

`Basic` (user name = the party's name, password = the token), `Bearer`, `Token` and `X-API-Key`. The scheme's
name may be written in any case (RFC 9110 §11.1). Nothing is remembered here: what `taxii.memory` remembers, it
believes only while nothing was committed, so a revoked token is refused at the very next request.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.errors import NotAllowed, NotAuthenticated, Paused
from tocsin.policy.configuration import Configuration
from tocsin.store import accounts
from tocsin.store.parties import Party
from tocsin.store.transaction import Transaction

_TOKEN = re.compile(r"[\x21-\x7e]{1,200}")
_BARE_SCHEMES = frozenset({"bearer", "token"})


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brought: a token, and with Basic the name it was given for."""

    token: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The account or peer that asks, known by its token and named in the configuration in force."""

    party: Party

    @property
    def name(self) -> str:
        return self.party.name


def read_credential(headers: Mapping[str, str]) -> Credential:
    """The credential of a request. `Authorization` goes before `X-API-Key`. Raises NotAuthenticated."""
    given = headers.get("authorization")
    if given is None:
        return _token(headers.get("x-api-key", ""))
    scheme, _, rest = given.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "basic":
        return _basic(rest)
    if scheme.lower() in _BARE_SCHEMES:
        return _token(rest)
    raise NotAuthenticated("unknown scheme of authentication")


async def authenticate(tx: Transaction, configuration: Configuration, headers: Mapping[str, str]) -> Caller:
    """The caller of a request.

    Raises NotAuthenticated when the credential is missing, unknown, revoked, given under another's name, or its
    party is no longer configured; NotAllowed when the operator has suspended the party, Paused when he has paused
    it or everybody.
    """
    credential = read_credential(headers)
    return admitted(configuration, credential, await accounts.verify_token(tx, credential.token))


def admitted(configuration: Configuration, credential: Credential, party: Party | None) -> Caller:
    """The caller whose credential is that of a party (None: of nobody). Raises as `authenticate` does."""
    if party is None or configuration.settings.party(party.name) is None:
        raise NotAuthenticated("unknown or revoked token")
    if credential.user is not None and not hmac.compare_digest(credential.user.encode(), party.name.encode()):
        raise NotAuthenticated("the token is not that of this user name")
    if party.suspended:
        raise NotAllowed("The operator of this node has suspended the exchange with you.")
    if party.paused:
        raise Paused(f"{party.name} is paused")
    return Caller(party)


def _basic(coded: str) -> Credential:
    try:
        user, colon, password = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError) as why:
        raise NotAuthenticated("Basic credential that is not base64 of UTF-8") from why
    if not colon:
        raise NotAuthenticated("Basic credential without a colon")
    return Credential(_token(password).token, user)


def _token(text: str) -> Credential:
    if not _TOKEN.fullmatch(text):
        raise NotAuthenticated("no token, or one that cannot be a token")
    return Credential(text)
