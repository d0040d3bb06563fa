"""Clear: the peers whose traffic, our secret in it, anybody on the way could read."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tocsin.settings import PeerSettings, Settings


@dataclass(frozen=True, slots=True)
class InTheClear:
    """A peer that is read without TLS, and what that means, as a sentence."""

    name: str
    words: str


def in_the_clear(settings: Settings) -> Iterator[InTheClear]:
    """Every peer that is read by http from another machine; on this one nobody is on the way."""
    for name, peer in settings.peers.items():
        parts = urlsplit(peer.url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            yield InTheClear(name, f"WARNING: {name} is read by http: {_exposed(peer)}. Use https, if it has it.")


def _exposed(peer: PeerSettings) -> str:
    if peer.auth == "certificate":
        return "our certificate is not asked for, and everything can be read and changed on the way"
    return f"everything, the secret by which it knows us ({peer.auth}) too, can be read and changed on the way"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name: whom it leads to is not known before it is asked for
