"""Crawl: everything that a reader may ask of a collection, and what he gets, byte for byte."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx2

UNKNOWN = "indicator--6f0a1b2c-0000-4000-8000-00000000dead"
_MASKED = ("date",)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as bytes: what was asked, status, headers and body."""

    asked: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def bytes(self) -> bytes:
        return b"\n".join([*(b": ".join(one) for one in self.headers), b"", self.body])


async def ask(
    client: httpx2.AsyncClient, path: str, headers: dict[str, str], method: str = "GET", content: bytes = b""
) -> Answer:
    got = await client.request(method, path, headers=headers, content=content or None)
    kept = tuple(one for one in got.headers.raw if one[0].decode().lower() not in _MASKED)
    return Answer(f"{method} {path}", got.status_code, kept, got.content)


async def read(
    client: httpx2.AsyncClient, collection: str, headers: dict[str, str], *, limit: int = 500
) -> list[Answer]:
    """The whole of a collection by pages: objects of all versions, manifest, changes."""
    root = f"/exchange/collections/{collection}/"
    answers = [await ask(client, root, headers)]
    for start in (f"objects/?limit={limit}&match[version]=all", f"manifest/?limit={limit}&match[version]=all"):
        answers += await _pages(client, root, start, headers)
    return answers + await _changes(client, f"{root}changes/", headers, limit)


async def _pages(client: httpx2.AsyncClient, root: str, start: str, headers: dict[str, str]) -> list[Answer]:
    answers = [await ask(client, root + start, headers)]
    while '"next"' in answers[-1].body.decode():
        following = httpx2.Response(200, content=answers[-1].body).json()["next"]
        answers.append(await ask(client, f"{root}{start}&next={following}", headers))
    return answers


async def _changes(client: httpx2.AsyncClient, path: str, headers: dict[str, str], limit: int) -> list[Answer]:
    answers = [await ask(client, f"{path}?limit={limit}", headers)]
    while (page := httpx2.Response(200, content=answers[-1].body).json()).get("more"):
        answers.append(await ask(client, f"{path}?limit={limit}&after={page['position']}", headers))
    return answers


async def look_for(
    client: httpx2.AsyncClient, collection: str, headers: dict[str, str], ids: Iterable[str]
) -> list[Answer]:
    """Single objects, their versions, and pages that ask for them."""
    root = f"/exchange/collections/{collection}/"
    paths = ("objects/{}/", "objects/{}/versions/", "objects/?match[id]={}", "manifest/?match[id]={}")
    return [await ask(client, root + path.format(id_), headers) for id_ in ids for path in paths]


async def around(client: httpx2.AsyncClient, headers: dict[str, str], others: Sequence[str]) -> list[Answer]:
    """What is not of one collection, and the collections that one may not read."""
    paths = [
        "/taxii2/",
        "/exchange/",
        "/exchange/collections/",
        "/.well-known/tocsin.json",
        "/exchange/status/nothing/",
    ]
    paths += [
        f"/exchange/collections/{other}/{more}"
        for other in others
        for more in ("", "objects/", "manifest/", "changes/")
    ]
    return [await ask(client, path, headers) for path in paths]
