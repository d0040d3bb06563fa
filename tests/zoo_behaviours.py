"""Zoo behaviours: peers that are bad in one way each, by name, for any test of a node that reads from others.

    async with zoo("gzip bomb", seed=1) as peer:
        ...  # peer.url is what stands in tocsin.yaml; the collection is called `regional`

Each speaks as a node does, or as a TAXII 2.1 server (`speaks`), decently but for its one behaviour. What that
should come to stands beside it: `words` is found in what the operator reads of it, or is '' where it does no harm
that could be told from what decent peers do. TLS misbehaves in tests/peers/test_tls.py.

`python tests/zoo_behaviours.py NAME[:SPEAKS] …` serves them in a process of its own until its input ends; their
addresses come as one line of JSON.
"""

import asyncio
import gzip
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import zstandard

from neighbours import START, an_incident
from tocsin.stix.objects import from_micros, keyed_id, make_object
from zoo import COLLECTION, FOLDER, JSON, Animal, Asked, Liar, an_offer, animal, at, http

Speaks = Literal["node", "taxii"]
Writer = asyncio.StreamWriter

DISCOVERY, ROOT, CHANGES, OBJECTS = "/taxii2/", "/root/collections/", f"{FOLDER}changes/", f"{FOLDER}objects/"
DESCRIPTOR = "/.well-known/tocsin.json"


@dataclass
class Peer:
    """One bad peer. `page` is where its objects are."""

    animal: Animal
    liar: Liar
    speaks: Speaks
    dice: random.Random
    identity: str
    made: int = field(default=0)

    @property
    def url(self) -> str:
        return self.animal.url

    @property
    def page(self) -> str:
        return CHANGES if self.speaks == "node" else OBJECTS

    def incident(self, **more: Any) -> dict[str, Any]:
        """One more incident of this peer's own."""
        self.made += 1
        id_ = keyed_id(self.identity.encode(), "incident", str(self.made))
        return an_incident(id_, self.identity, START, **more)

    def envelope(self, objects: list[bytes], **more: Any) -> bytes:
        head = json.dumps({"more": False, **more}).encode()
        return head[:-1] + b',"objects":[' + b",".join(objects) + b"]}"

    def answers(self, raw: bytes | Callable[[Asked, Writer], Awaitable[None]], *where: str) -> None:
        """Answer so at these paths; where none is given, wherever one begins."""
        for path in where or (DISCOVERY, DESCRIPTOR):
            self.animal.answers[path] = raw

    def says(self, *entries: bytes, **head: Any) -> bytes:
        """A page of a node's log."""
        said = {"more": False, "position": at(len(entries)), **head}
        return json.dumps(said, separators=(",", ":")).encode()[:-1] + b',"entries":[' + b",".join(entries) + b"]}"

    def entry(self, number: int, value: Any = None, **more: Any) -> bytes:
        version = make_object(self.incident() if value is None else value)
        said = {"op": "put", "position": at(number), "id": version.id, "version": version.version, "hops": 0}
        said |= {"sha256": version.sha256} | more
        return json.dumps(said).encode()[:-1] + b', "object": ' + version.raw + b"}"


@dataclass(frozen=True)
class Behaviour:
    """`misbehave` changes a decent peer. `words`: see above, a regular expression."""

    name: str
    misbehave: Callable[[Peer], None]
    words: str
    speaks: tuple[Speaks, ...]
    floods: bool  # gives more than can be read to its end


BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(words: str, *speaks: Speaks, floods: bool = False):
    """Note a function as the behaviour of its name."""

    def note(misbehave: Callable[[Peer], None]) -> Callable[[Peer], None]:
        name = misbehave.__name__.replace("_", " ")
        BEHAVIOURS[name] = Behaviour(name, misbehave, words, speaks or ("node", "taxii"), floods)
        return misbehave

    return note


def every() -> Iterator[tuple[str, Speaks]]:
    """Each behaviour in each way of speaking that it has."""
    for one in BEHAVIOURS.values():
        for speaks in one.speaks:
            yield one.name, speaks


# --- below HTTP ----------------------------------------------------------------------------------------------


@behaviour("cannot be reached")
def refuses(peer):
    peer.animal.closed = True


@behaviour("broke off")
def resets_at_once(peer):
    async def slam(reader, writer):
        writer.transport.abort()

    peer.animal.raw = slam


@behaviour("broke off")
def resets_when_asked(peer):
    async def slam(asked, writer):
        writer.transport.abort()

    peer.answers(slam)


@behaviour("fell silent|did not finish")
def never_answers(peer):
    async def wait(reader, writer):
        await asyncio.sleep(3600)

    peer.animal.raw = wait


@behaviour("broke off")
def speaks_no_http(peer):
    async def mumble(reader, writer):
        writer.write(b"\x16\x03\x01\x00\xa5\x01\x00\x00" + b"\x00\xff" * 40 + b"\r\n\r\n")
        await writer.drain()

    peer.animal.raw = mumble


def trickling(head: bytes, drop: bytes):
    async def trickle(asked, writer):
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    return trickle


OK = b"HTTP/1.1 200 X\r\nContent-Type: application/taxii+json;version=2.1\r\n"
OK_JSON = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n"


@behaviour("did not finish")
def trickles_its_head(peer):
    peer.answers(trickling(b"HTTP/1.1 200 X\r\n", b"x"))


@behaviour("did not finish")
def trickles_its_body(peer):
    peer.answers(trickling(OK_JSON + b"Content-Length: 100000\r\n\r\n", b" "))


@behaviour("did not finish")
def trickles_its_pages(peer):
    peer.answers(trickling(OK_JSON + b"Content-Length: 100000\r\n\r\n", b" "), peer.page)


@behaviour("did not finish|broke off")
def is_about_to_answer_for_ever(peer):
    peer.answers(trickling(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"))


def pouring(head: bytes, bucket: bytes):
    async def pour(asked, writer):
        writer.write(head)
        while True:
            writer.write(bucket)
            await writer.drain()

    return pour


@behaviour("broke off|did not finish")
def has_endless_headers(peer):
    peer.answers(pouring(b"HTTP/1.1 200 X\r\n", b"".join(b"X-%d: y\r\n" % n for n in range(1000))))


@behaviour("more than .* bytes|did not finish", floods=True)
def has_an_endless_body(peer):
    chunked = OK_JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    peer.answers(pouring(chunked, b"10000\r\n" + b" " * 65536 + b"\r\n"), peer.page)


@behaviour("broke off")
def cuts_its_body_short(peer):
    peer.answers(http(200, b'{"title": "x"', length=1000))


@behaviour("no usable JSON|cannot be used|no TAXII|broke off")
def says_less_than_it_sends(peer):
    whole = http(200, {"title": "x", "api_roots": ["/root/"], "pad": "x" * 1000}, length=20)
    peer.answers(whole, DISCOVERY)


@behaviour("fell silent|did not finish")
def never_ends_its_body(peer):
    async def linger(asked, writer):
        writer.write(OK_JSON + b"\r\n{}")
        await writer.drain()
        await asyncio.sleep(3600)

    peer.answers(linger)


@behaviour("broke off")
def miscounts_its_chunks(peer):
    peer.answers(OK_JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n{}\r\n-1\r\n\r\n")


@behaviour("broke off")
def gives_two_lengths(peer):
    peer.answers(OK_JSON + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}")


# --- codings -------------------------------------------------------------------------------------------------

ZEROS = gzip.compress(b"0" * 50_000_000, 9)


@behaviour("bytes in one answer|times its size")
def sends_a_gzip_bomb(peer):
    peer.answers(http(200, ZEROS, Content_Encoding="gzip"))


@behaviour("bytes in one answer|times its size")
def sends_a_gzip_bomb_as_a_page(peer):
    peer.answers(http(200, ZEROS, JSON, Content_Encoding="gzip"), peer.page)


@behaviour("did not ask for")
def sends_a_zstandard_bomb(peer):
    peer.answers(http(200, zstandard.compress(b"0" * 50_000_000), Content_Encoding="zstd"))


@behaviour("did not ask for")
def codes_its_answers_twice(peer):
    peer.answers(http(200, gzip.compress(ZEROS), Content_Encoding="gzip, gzip"))


@behaviour("ends early")
def cuts_its_gzip_short(peer):
    peer.answers(http(200, gzip.compress(b'{"title": "x"}')[:-9], Content_Encoding="gzip"), DISCOVERY)


# --- statuses ------------------------------------------------------------------------------------------------


@behaviour("answered 500")
def is_broken(peer):
    peer.answers(http(500, b"<h1>Oops</h1>", "text/html"), DISCOVERY)


@behaviour("answered 500")
def is_broken_with_an_endless_reason(peer):
    head = b"HTTP/1.1 500 X\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    peer.answers(pouring(head, b"10000\r\n" + b" " * 65536 + b"\r\n"), DISCOVERY)


@behaviour("answered 502")
def is_always_about_to_be_back(peer):
    peer.answers(http(502, {}, Retry_After="0"), DISCOVERY)


@behaviour("come less often")
def asks_for_a_pause_of_ages(peer):
    peer.answers(http(429, {}, Retry_After="9" * 300), DISCOVERY)


@behaviour("answered 503")
def asks_for_a_pause_that_is_over(peer):
    peer.answers(http(503, {}, Retry_After="-5"), DISCOVERY)


@behaviour("answered 503")
def asks_for_a_pause_until_a_day_that_is_none(peer):
    peer.answers(http(503, {}, Retry_After="Sun, 01 Mar 99999999999 12:02:00 GMT"), DISCOVERY)


@behaviour("")
def has_a_clock_that_no_calendar_has(peer):
    resource = {"title": "zoo", "api_roots": ["/root/"]}
    peer.answers(http(200, resource, Date="Sun, 01 Mar 2026 99999999999999999999:00:00 GMT"), DISCOVERY)


@behaviour("broken off|cannot be read|broke off")
def quotes_without_end(peer):
    """Twenty megabytes of which every other byte may begin a string."""
    peer.answers(http(200, b'{"' + b'\\"' * 9_000_000 + b"}", JSON), peer.page)


@behaviour("come less often")
def asks_for_a_pause_of_no_length(peer):
    peer.answers(http(429, {}), DISCOVERY)


@behaviour("credential")
def knows_us_no_more(peer):
    peer.answers(http(401, {}, WWW_Authenticate='Basic realm="x"'))


@behaviour("redirects are not followed")
def redirects_to_itself(peer):
    peer.answers(http(302, b"", Location="/taxii2/"), DISCOVERY)


@behaviour("redirects are not followed")
def redirects_to_the_metadata_of_a_cloud(peer):
    peer.answers(http(307, b"", Location="http://169.254.169.254/latest/meta-data/"), DISCOVERY)


# --- other media and other JSON ------------------------------------------------------------------------------


@behaviour("text/html")
def is_a_site_for_people(peer):
    peer.answers(http(200, b"<!doctype html><title>Welcome</title>", "text/html"))


@behaviour("octet-stream")
def names_no_media_type(peer):
    peer.answers(http(200, b"{}", "application/octet-stream"), DISCOVERY)


def of_resources(name: str, body: bytes) -> None:
    def misbehave(peer: Peer) -> None:
        peer.answers(http(200, body), DISCOVERY)

    misbehave.__name__ = name
    behaviour("no usable JSON|no JSON object")(misbehave)


of_resources("gives_names_twice", b'{"title": "x", "title": "y", "api_roots": ["/root/"]}')
of_resources("nests_without_end", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
of_resources("gives_no_number", b'{"title": NaN}')
of_resources("gives_a_number_of_5000_digits", b'{"title": ' + b"9" * 5000 + b"}")
of_resources("gives_half_a_character", b'{"title": "\\ud800"}')
of_resources("gives_bytes_that_are_no_text", b'{"title": "\xff\xfe"}')
of_resources("gives_a_list", b"[]")
of_resources("gives_nothing", b"")


@behaviour("in a form that is not|no TAXII|lists a collection")
def lists_collections_that_are_none(peer):
    peer.answers(http(200, {"collections": [{"id": "../../etc"}, 7, None]}), ROOT)


@behaviour("names 10001 API roots")
def lists_ten_thousand_api_roots(peer):
    roots = ["/root/", *(f"/root-{n}/" for n in range(10_000))]
    peer.answers(http(200, {"title": "zoo", "api_roots": roots}), DISCOVERY)


@behaviour("more than .* bytes")
def lists_fifty_thousand_collections(peer):
    listed = [{"id": f"c{n}", "title": "regional", "can_read": True, "can_write": False} for n in range(50_000)]
    peer.answers(http(200, {"collections": listed}), ROOT)


# --- what pages say ------------------------------------------------------------------------------------------


@behaviour("same position again|same page again|not where|gone back|nothing")
def says_the_same_page_for_ever(peer):
    if peer.speaks == "node":
        entry = peer.entry(1)
        peer.answers(http(200, peer.says(entry, more=True), JSON), CHANGES)
    else:
        page = peer.envelope([make_object(peer.incident()).raw], more=True, next="again")
        peer.answers(http(200, page), OBJECTS)


@behaviour("more, and gives nothing|not where")
def has_more_and_gives_nothing(peer):
    async def next_(asked, writer):
        peer.made += 1
        if peer.speaks == "node":
            writer.write(http(200, peer.says(more=True, position=at(peer.made)), JSON))
        else:
            writer.write(http(200, peer.envelope([], more=True, next=str(peer.made))))

    peer.answers(next_, peer.page)


@behaviour("not followed", "node")
def speaks_at_another_address(peer):
    said = {"tocsin": 1, "name": "x", "changes": True, "identity": {"id": peer.identity}}
    peer.answers(http(200, said | {"taxii": "http://192.0.2.1/taxii2/"}, JSON), DESCRIPTOR)


@behaviour("not followed")
def has_its_api_root_at_another_address(peer):
    peer.answers(http(200, {"title": "zoo", "api_roots": ["https://192.0.2.1/root/"]}), DISCOVERY)


@behaviour("", "taxii")
def goes_on_at_another_address(peer):
    page = peer.envelope([make_object(peer.incident()).raw], more=False, next="http://192.0.2.1/next")
    peer.answers(http(200, page), OBJECTS)


@behaviour("")
def shuffles_its_entries(peer):
    numbers = list(range(1, 31))
    peer.dice.shuffle(numbers)
    if peer.speaks == "node":
        entries = [peer.entry(number) for number in numbers]
        peer.answers(http(200, peer.says(*entries, position=at(30)), JSON), CHANGES)
    else:
        raws = [make_object(peer.incident()).raw for _ in numbers]
        peer.answers(http(200, peer.envelope(raws), X_TAXII_Date_Added_Last=at(peer.dice.randrange(30))), OBJECTS)


@behaviour("", "node")
def leaves_pages_out(peer):
    async def some(asked, writer):
        peer.made += 100
        entries = [peer.entry(peer.made + n) for n in range(3)]
        writer.write(http(200, peer.says(*entries, position=at(peer.made), more=peer.made < 2000), JSON))

    peer.answers(some, CHANGES)


@behaviour("")
def says_something_else_each_time(peer):
    async def other(asked, writer):
        if peer.speaks == "node":
            writer.write(http(200, peer.says(peer.entry(1)), JSON))
        else:
            raw = make_object(peer.incident()).raw
            writer.write(http(200, peer.envelope([raw]), X_TAXII_Date_Added_Last=at(peer.made)))

    peer.answers(other, peer.page)


@behaviour("went back|does not continue|another one", "node")
def goes_back_to_an_old_copy(peer):
    async def ages(asked, writer):
        peer.made += 10
        writer.write(http(200, peer.says(peer.entry(100), position=at(max(100 - peer.made, 1)), more=True), JSON))

    peer.answers(ages, CHANGES)


@behaviour("")
def tells_two_stories(peer):
    value = peer.incident()
    stories = [value, value | {"name": "another"}, value | {"name": "a third"}]
    if peer.speaks == "node":
        entries = [peer.entry(n, story) for n, story in enumerate(stories, 1)]
        peer.answers(http(200, peer.says(*entries, position=at(3)), JSON), CHANGES)
    else:
        page = peer.envelope([make_object(story).raw for story in stories])
        peer.answers(http(200, page, X_TAXII_Date_Added_Last=at(3)), OBJECTS)


@behaviour("speaks for|claims", "node")
def is_somebody_else_each_time(peer):
    async def descriptor(asked, writer):
        peer.made += 1
        said = {"tocsin": 1, "name": "x", "changes": True, "taxii": "/taxii2/"}
        who = {"id": keyed_id(peer.identity.encode(), "identity", str(peer.made))}
        writer.write(http(200, said | {"identity": who}, JSON))

    peer.answers(descriptor, DESCRIPTOR)


@behaviour("speaks for nobody", "node")
def is_nobody(peer):
    said = {"tocsin": 1, "name": "x", "changes": True, "taxii": "/taxii2/", "identity": {"id": "x" * 100_000}}
    peer.answers(http(200, said, JSON), DESCRIPTOR)


@behaviour(r"answered 500 at /a\\x00\\x1b\[2J")
def names_what_a_terminal_would_obey(peer):
    root = "/a%00%1b%5B2J%E2%80%AE/"
    peer.answers(http(200, {"title": "zoo", "api_roots": [root]}), DISCOVERY)
    peer.answers(http(500, {}), "/a%00%1b%5B2J%E2%80%AE/collections/")


@behaviour("bytes in one answer|cannot be read|did not finish|in one cycle", floods=True)
def has_one_object_of_50_megabytes(peer):
    value = peer.incident(description="x" * 50_000_000)
    if peer.speaks == "node":
        peer.answers(http(200, peer.says(peer.entry(1, value)), JSON), CHANGES)
    else:
        page = peer.envelope([make_object(value).raw])
        peer.answers(http(200, page, X_TAXII_Date_Added_Last=at(1)), OBJECTS)


@behaviour("")
def gives_ten_times_what_was_asked_for(peer):
    if peer.speaks == "node":
        entries = [peer.entry(n) for n in range(1, 2001)]
        peer.answers(http(200, peer.says(*entries, position=at(2000)), JSON), CHANGES)
    else:
        raws = [make_object(peer.incident()).raw for _ in range(2000)]
        peer.answers(http(200, peer.envelope(raws), X_TAXII_Date_Added_Last=at(2000)), OBJECTS)


@behaviour("", floods=True)
def has_ten_million_tiny_objects(peer):
    async def more(asked, writer):
        numbers = range(peer.made + 1, min(peer.made + 200, 10_000_000) + 1)
        peer.made = numbers[-1]
        tiny = [b'{"id":"x--%d"}' % number for number in numbers]
        if peer.speaks == "node":
            named = f"incident--7d3bd05b-0ec7-4a53-9b3b-{'{:012x}'}"
            heads = [
                {"op": "put", "position": at(n), "id": named.format(n), "version": "v", "sha256": "0" * 64}
                for n in numbers
            ]
            entries = [
                json.dumps(h).encode()[:-1] + b',"object":' + t + b"}" for h, t in zip(heads, tiny, strict=True)
            ]
            writer.write(http(200, peer.says(*entries, position=at(peer.made), more=True), JSON))
        else:
            page = peer.envelope(tiny, more=True, next=str(peer.made))
            writer.write(http(200, page, X_TAXII_Date_Added_Last=at(peer.made)))

    peer.answers(more, peer.page)


@behaviour("", floods=True)
def has_more_objects_than_there_is_time_for(peer):
    async def more(asked, writer):
        limit = int(asked.query.get("limit", ["200"])[0])
        if peer.speaks == "node":
            first = peer.made
            entries = [peer.entry(first + n) for n in range(1, limit + 1)]
            writer.write(http(200, peer.says(*entries, position=at(first + limit), more=True), JSON))
        else:
            raws = [make_object(peer.incident()).raw for _ in range(limit)]
            page = peer.envelope(raws, more=True, next=str(peer.made))
            writer.write(http(200, page, X_TAXII_Date_Added_Last=at(peer.made)))

    peer.answers(more, peer.page)


@behaviour("")
def has_nothing_that_can_be_read(peer):
    bad = [b"{}", b"7", b"null", b'{"x":' + b"[" * 500 + b"]" * 500 + b"}", b'{"type":"incident"}', b'{"a":NaN}']
    if peer.speaks == "node":
        id_ = peer.incident()["id"]
        head = {"op": "put", "id": id_, "version": "v", "sha256": "0" * 64}
        entries = [
            json.dumps(head | {"position": at(n)}).encode()[:-1] + b',"object":' + raw + b"}"
            for n, raw in enumerate(bad[:5], 1)
        ]
        peer.answers(http(200, peer.says(*entries), JSON), CHANGES)
    else:
        peer.answers(http(200, peer.envelope(bad[:5]), X_TAXII_Date_Added_Last=at(5)), OBJECTS)


# --- what only nodes say -------------------------------------------------------------------------------------


def with_log(peer: Peer, *log: str) -> None:
    said = {"tocsin": 1, "name": "zoo", "taxii": "/taxii2/", "changes": True, "identity": {"id": peer.identity}}
    peer.answers(http(200, said | {"log": list(log)}, JSON), DESCRIPTOR)


@behaviour("does not continue", "node")
def has_always_another_log(peer):
    with_log(peer, "names", "digest", "news")
    peer.answers(http(410, {"epoch": "other", "after": from_micros(0)}, JSON), CHANGES)


@behaviour("another one|does not continue|again and again|in one cycle", "node")
def is_another_log_on_every_page(peer):
    with_log(peer, "names")

    async def page(asked, writer):
        peer.made += 1
        said = peer.says(peer.entry(peer.made), position=at(peer.made), more=True, epoch=f"epoch-{peer.made}")
        writer.write(http(200, said, JSON))

    peer.answers(page, CHANGES)


@behaviour("", "node")
def names_what_it_never_gives(peer):
    with_log(peer, "names")
    entries = [peer.entry(n) for n in range(1, 31)]
    named = [entry.partition(b', "object": ')[0] + b"}" for entry in entries]
    peer.answers(http(200, peer.says(*named, epoch="e"), JSON), CHANGES)
    peer.answers(http(200, {"more": False, "epoch": "e", "entries": []}, JSON), f"{CHANGES}content/")


@behaviour("again|nothing|does not give", "node")
def always_has_more_of_what_was_named(peer):
    with_log(peer, "names")
    entries = [peer.entry(n) for n in range(1, 31)]
    named = [entry.partition(b', "object": ')[0] + b"}" for entry in entries]
    peer.answers(http(200, peer.says(*named, epoch="e"), JSON), CHANGES)
    peer.answers(http(200, {"more": True, "epoch": "e", "entries": []}, JSON), f"{CHANGES}content/")


@behaviour("", "node")
def lies_about_what_stands(peer):
    with_log(peer, "names", "digest")
    entries = [peer.entry(n) for n in range(1, 4)]
    peer.answers(http(200, peer.says(*entries, epoch="e"), JSON), CHANGES)
    digest = {"position": at(3), "epoch": "e", "count": 10**6, "shares": ["f" * 32] * 256}
    peer.answers(http(200, digest, JSON), f"{FOLDER}digest/")


@behaviour("", "node")
def has_news_without_end(peer):
    with_log(peer, "names", "news")
    peer.answers(http(200, peer.says(peer.entry(1), epoch="e"), JSON), CHANGES)
    peer.answers(http(200, {"news": [COLLECTION] * 1000}, JSON), "/root/news/")


# --- a decent one, for comparison ----------------------------------------------------------------------------


@behaviour("")
def is_decent(peer):
    """Says one incident more whenever its log is asked for."""

    async def grow(asked, writer):
        peer.liar.says(peer.incident())
        if peer.speaks == "node":
            await peer.liar.answer(asked, writer)
        else:
            raws = [json.dumps(json.loads(entry)["object"]).encode() for entry in peer.liar.entries]
            writer.write(http(200, peer.envelope(raws), X_TAXII_Date_Added_Last=at(len(raws))))

    peer.answers(grow, peer.page)


# --- the keeper ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def zoo(name: str, seed: int = 0, speaks: Speaks | None = None) -> AsyncIterator[Peer]:
    """A peer with this behaviour, on a port of its own of 127.0.0.1. The same seed makes the same peer."""
    kind = BEHAVIOURS[name]
    speaks = speaks or kind.speaks[0]
    identity = keyed_id(b"zoo", "identity", f"{name} {seed} {speaks}")
    async with animal() as found:
        liar = Liar(found, identity)
        peer = Peer(found, liar, speaks, random.Random(f"{name} {seed}"), identity)
        if speaks == "taxii":
            found.answers.clear()
            found.answers |= an_offer()
            found.answers[OBJECTS] = http(200, {"more": False, "objects": []})
        else:
            found.answers[OBJECTS] = http(404, {})
        kind.misbehave(peer)
        if found.closed:
            found.server.close()
        yield peer


async def _keep(names: list[str]) -> None:
    async with AsyncExitStack() as stack:
        urls = []
        for seed, name in enumerate(names):
            behaviour_, _, speaks = name.partition(":")
            peer = await stack.enter_async_context(zoo(behaviour_, seed, speaks or None))
            urls.append(peer.url)
        print(json.dumps(urls), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_keep(sys.argv[1:]))
