"""Origin: the one place that a peer may be asked at, and how nothing we send goes anywhere else.

An operator names a scheme, a host and a port. `KeptToOrigin` is the last thing that a request passes on its way
out, whatever parsed its address before: it looks the host's name up once, and from then on goes to what it found,
so that a name which comes to mean another machine in the middle of a pull (DNS rebinding) leads nowhere. A peer
decides what its own name means, so some answers are refused: this machine, its links, addresses that clouds keep
for their own services. An operator who means one of those writes the address itself. Private networks are not
refused: members reach each other through them by names of their own.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpx2

from tocsin.errors import BadInput, PeerFailed

Address = IPv4Address | IPv6Address

MOST_ADDRESSES = 4  # of one host, tried in the order in which its name server gives them

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_THIS_NETWORK = ip_network("0.0.0.0/8")  # RFC 1122 §3.2.1.3; some systems take all of it for themselves
# Where clouds (AWS, Oracle, Azure, Alibaba) answer whoever asks from within, beside 169.254.169.254.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "192.0.0.192", "168.63.129.16", "100.100.100.200")))


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: where a credential may go."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Raises BadInput for what is no absolute http(s) address, or holds a credential of its own."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as why:
        raise BadInput(f"{url[:200]!r} is not an address: {why}") from why
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise BadInput(f"{url[:200]!r} is not an http or https address")
    if parts.username is not None or parts.password is not None:
        raise BadInput("an address must not hold a credential (use: tocsin peer credential)")
    return Origin(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme])


def refusal(address: Address, name: str) -> str | None:
    """Why a host called `name` may not be asked at an address that its name leads to; None if it may. Pure."""
    meant = _embedded(address)
    if meant.is_loopback and name != "localhost" and not name.endswith(".localhost"):
        return "this very machine"
    if meant.is_link_local or meant in _METADATA:
        return "no host of a network, but what a link or a cloud keeps for itself"
    if meant.is_unspecified or meant.is_multicast or meant.is_reserved or meant in _THIS_NETWORK:
        return "an address that no host has"
    if isinstance(meant, IPv6Address) and meant.is_site_local:
        return "an address that no host has"
    return None


def _embedded(address: Address) -> Address:
    """The address that is really asked, where IPv6 carries one of IPv4."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


class KeptToOrigin(httpx2.AsyncBaseTransport):
    """Requests to the origin of `url` and nowhere else, at the addresses that its host had when first asked for.

    The name goes on being what `Host` says and what the certificate is checked against. Raises PeerFailed for an
    address elsewhere, and for a name that leads to nothing but refused addresses. Belongs to one event loop.
    """

    def __init__(self, url: str, transport: httpx2.AsyncBaseTransport, connect: float) -> None:
        try:
            self._origin = _asked(httpx2.URL(url))
        except httpx2.InvalidURL as why:
            raise BadInput(f"{url[:200]!r} is not an address: {why}") from why
        self._transport = transport
        self._connect = connect
        self._addresses: list[Address] = []
        self._looking_up = asyncio.Lock()
        # of its own: a name server that never answers holds up nobody else's questions
        self._resolver = ThreadPoolExecutor(1, thread_name_prefix="resolver")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _asked(request.url) != self._origin:
            raise PeerFailed(f"nothing is asked at {str(request.url)[:200]!r}: it is not on {self._origin}")
        async with self._looking_up:
            if not self._addresses:
                self._addresses = await self._look_up()
        for address in list(self._addresses):
            try:
                response = await self._transport.handle_async_request(self._sent_to(address, request))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as why:
                failed: httpx2.TransportError = why
            else:
                self._addresses.remove(address)
                self._addresses.insert(0, address)  # the next request begins with what answers
                return response
        raise failed

    def _sent_to(self, address: Address, request: httpx2.Request) -> httpx2.Request:
        timeout = {**request.extensions.get("timeout", {}), "connect": self._connect / len(self._addresses)}
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,
            stream=request.stream,  # bytes, which may be sent to one address after another
            extensions={**request.extensions, "timeout": timeout, "sni_hostname": self._origin.host},
        )

    async def _look_up(self) -> list[Address]:
        host, port = self._origin.host, self._origin.port
        try:
            return [ip_address(host)]  # the operator's own words
        except ValueError:
            loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect):
                found = await loop.run_in_executor(
                    self._resolver, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                )
        except TimeoutError as why:
            raise httpx2.ConnectTimeout(f"no answer to what {host} means") from why
        except (OSError, UnicodeError) as why:
            raise httpx2.ConnectError(str(why)) from why
        answered = {address: refusal(address, host) for address in (ip_address(str(at[0])) for *_, at in found)}
        allowed = [address for address, refused in answered.items() if refused is None]
        if not allowed:
            told = ", ".join(f"{address} ({refused})" for address, refused in answered.items())
            raise PeerFailed(
                f"{host} leads to {told or 'no address'}: not asked, since whoever owns the name decides that (if "
                "it is meant, write the address itself into tocsin.yaml)"
            )
        return allowed[:MOST_ADDRESSES]

    async def aclose(self) -> None:
        self._resolver.shutdown(wait=False, cancel_futures=True)
        await self._transport.aclose()


def _asked(url: httpx2.URL) -> Origin:
    """Where a request really goes: as the library reads its address, its host in the form that is looked up."""
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS.get(url.scheme, 0))
