"""Crawl: everything that a reader may ask of a collection, and what he gets, byte for byte."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from json import dumps, loads
from typing import Any

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
    """The whole of a collection by pages: objects of all versions, manifest, changes, and what nodes ask."""
    root = f"/exchange/collections/{collection}/"
    answers = [await ask(client, root, headers)]
    for start in (f"objects/?limit={limit}&match[version]=all", f"manifest/?limit={limit}&match[version]=all"):
        answers += await _pages(client, root, start, headers)
    changes = await _changes(client, f"{root}changes/?limit={limit}", headers)
    names = await _changes(client, f"{root}changes/?content=no&limit={limit}", headers)
    return answers + changes + names + await _as_nodes(client, root, headers, collection, changes)


async def _pages(client: httpx2.AsyncClient, root: str, start: str, headers: dict[str, str]) -> list[Answer]:
    answers = [await ask(client, root + start, headers)]
    while '"next"' in answers[-1].body.decode():
        following = httpx2.Response(200, content=answers[-1].body).json()["next"]
        answers.append(await ask(client, f"{root}{start}&next={following}", headers))
    return answers


async def _changes(client: httpx2.AsyncClient, start: str, headers: dict[str, str]) -> list[Answer]:
    answers = [await ask(client, start, headers)]
    while (page := _value(answers[-1])).get("more"):
        answers.append(await ask(client, f"{start}&after={page['position']}", headers))
    return answers


async def _as_nodes(
    client: httpx2.AsyncClient, root: str, headers: dict[str, str], collection: str, changes: Sequence[Answer]
) -> list[Answer]:
    """The contents at every position that was told, the digest, what is new, and answers to all of the log."""
    pages = [_value(page) for page in changes]
    told = [entry for page in pages for entry in page["entries"]]
    answers = [await ask(client, f"{root}digest/", headers)]
    for few in _some([*told, {"position": pages[-1]["position"]}], 50):
        places = ",".join(entry["position"] for entry in few)
        answers.append(await ask(client, f"{root}changes/content/?at={places}", headers))
    news = [f"/exchange/news/?after={collection}:{after}&wait=0" for after in ("", pages[-1]["position"])]
    answers += [await ask(client, path, headers) for path in news]
    said = [
        {"position": entry["position"], "id": id_, "outcome": "purged"}
        for entry in told
        for id_ in (entry["id"], UNKNOWN)
    ]
    for some in _some(said, 1000):
        body = dumps({"acknowledgements": some}).encode()
        as_json = headers | {"Content-Type": "application/json"}
        answers.append(await ask(client, f"{root}acknowledgements/", as_json, "POST", body))
    return answers


def _some(values: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _value(answer: Answer) -> dict[str, Any]:
    return loads(answer.body)


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
        for more in ("", "objects/", "manifest/", "changes/", "changes/?content=no", "changes/content/", "digest/")
    ]
    paths += [f"/exchange/news/?after={other}:&wait=0" for other in others]
    return [await ask(client, path, headers) for path in paths]
