"""Resources: the JSON of what TAXII 2.1 names, as bytes (§3.6 to §5.8). No property of our own is added.

Lists are never empty: they are left out (§2). Dates have six digits. An envelope is joined from the stored bytes
of its objects, which are not parsed again.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tocsin.settings import CollectionSettings, EmptyPage, NodeSettings
from tocsin.stix.objects import from_micros
from tocsin.store.pages import ContentPage, ReleasePage
from tocsin.taxii.negotiation import VERSION

API_ROOT = "/exchange/"
DISCOVERY = "/taxii2/"
STIX_TYPE = "application/stix+json;version=2.1"
_PIECE = 128 * 1024  # bytes


def absolute(node: NodeSettings, path: str) -> str:
    """A path under the public base of this node, or the path alone where none is set (§4.1.1 allows both)."""
    return f"{node.url.rstrip('/')}{path}" if node.url else path


def discovery(node: NodeSettings) -> bytes:
    """§4.1.1 Discovery resource."""
    root = absolute(node, API_ROOT)
    return dump({"title": node.name, "default": root, "api_roots": [root]})


def api_root(node: NodeSettings, max_content_length: int) -> bytes:
    """§4.2.1 API root resource."""
    return dump(
        {
            "title": node.name,
            "versions": [f"application/taxii+json;version={VERSION}"],
            "max_content_length": max_content_length,
        }
    )


def collection(
    id_: str, key: str, settings: CollectionSettings, can_read: bool, can_write: bool
) -> dict[str, Any]:
    """§5.2.1 Collection resource, as this caller sees it."""
    described = {"description": settings.description} if settings.description else {}
    return {
        "id": id_,
        "title": settings.title,
        **described,
        "alias": key,
        "can_read": can_read,
        "can_write": can_write,
        "media_types": [STIX_TYPE],
    }


def collections(found: Sequence[Mapping[str, Any]]) -> bytes:
    """§5.1.1 Collections resource."""
    return dump({"collections": found} if found else {})


@dataclass(frozen=True, slots=True)
class Envelope:
    """The bytes of an envelope, joined in pieces when they are sent: never as a whole beside its objects."""

    begin: bytes
    objects: Sequence[bytes]
    end: bytes

    def __len__(self) -> int:
        commas = max(0, len(self.objects) - 1)
        return len(self.begin) + sum(map(len, self.objects)) + commas + len(self.end)

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of equally many objects, of about `_PIECE` bytes where these are of a size."""
        count = len(self.objects)
        step = max(1, count * _PIECE // max(1, len(self)))
        begin = self.begin
        for start in range(0, count - step, step):
            joined = b",".join((*self.objects[start : start + step], b""))  # ends in a comma
            yield begin + joined if begin else joined
            begin = b""
        rest = (count - 1) // step * step if count else 0
        yield b"".join((begin, b",".join(self.objects[rest:]), self.end))


def envelope(page: ContentPage, next_: str | None, empty_page: EmptyPage = "omit") -> Envelope:
    """§3.7 Envelope; an empty result is an empty envelope (§5.4), unless its reader is to get an empty list."""
    if not page.raws:
        return Envelope(b"{}" if empty_page == "omit" else b'{"more":false,"objects":[]}', (), b"")
    return Envelope(_paging(next_) + b'"objects":[', page.raws, b"]}")


def essence(page: ContentPage, envelope: Envelope) -> bytes:
    """What determines an envelope and its dates, at a fraction of its size: its beginning, and the positions.

    An entry of a log never changes and no position is given out twice, so they say which versions.
    They are the dates that readers see, so that nothing hidden is in them.
    """
    return envelope.begin + array("q", page.positions).tobytes()


def manifest(page: ReleasePage, next_: str | None) -> bytes:
    """§5.3.1 Manifest resource, with `next` as §3.5 needs it (errata cti-taxii2#110)."""
    if not page.rows:
        return b"{}"
    records = [
        {
            "id": row.object_id,
            "date_added": from_micros(row.position),
            "version": row.version,
            "media_type": f"application/stix+json;version={row.spec_version}",
        }
        for row in page.rows
    ]
    return b"".join((_paging(next_), b'"objects":', dump(records), b"}"))


def versions(page: ReleasePage, next_: str | None) -> bytes:
    """§5.8.1 Versions resource, with `next` as the manifest has it."""
    if not page.rows:
        return b"{}"
    return b"".join((_paging(next_), b'"versions":', dump([row.version for row in page.rows]), b"}"))


def status(
    id_: str, requested: int, successes: Iterable[Mapping[str, str]], failures: Iterable[Mapping[str, str]]
) -> dict[str, Any]:
    """§4.3.1 Status resource of a request that is done: we answer only after the commit, so nothing is pending."""
    done, failed = list(successes), list(failures)
    lists = {name: details for name, details in (("successes", done), ("failures", failed)) if details}
    return {
        "id": id_,
        "status": "complete",
        "request_timestamp": from_micros(requested),
        "total_count": len(done) + len(failed),
        "success_count": len(done),
        "failure_count": len(failed),
        "pending_count": 0,
        **lists,
    }


def status_detail(id_: str, version: str, message: str) -> dict[str, str]:
    """§4.3.1 one object of a status; `message` only where there is something to say."""
    return {"id": id_, "version": version, **({"message": message} if message else {})}


def _paging(next_: str | None) -> bytes:
    if next_ is None:
        return b'{"more":false,'
    return b'{"more":true,"next":%b,' % dump(next_)


def dump(value: Any) -> bytes:
    return msgspec.json.encode(value)
