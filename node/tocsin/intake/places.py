"""Places: where each id of one import was read first, so that a repeated one can be told with both places.

Kept in files without a name, in the folder for temporary files, so that an import of millions takes no more memory
than one of a few. One is a table of slots, each with the hash of an id and where its place stands in the other;
a slot that is taken leads to the next.
"""

import struct
from hashlib import blake2b
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, cast

from tocsin.errors import Refused

_SLOT = struct.Struct("<16sQ")  # the hash, and the position in `_texts` counted from 1; 0 in an empty slot
_EMPTY = bytes(_SLOT.size)
_FIRST_SLOTS = 1 << 12
_FULL = 0.6  # of the slots: beyond it, the table is made anew, of twice the size
_CHUNK = 64 * 1024 // _SLOT.size * _SLOT.size


class Places:
    """The places of one import. Used as a context, which removes the files."""

    def __init__(self) -> None:
        self._texts = _file()
        self._end = 0  # of `_texts`
        self._table = _file()
        self._slots = 0
        self._taken = 0

    def __enter__(self) -> "Places":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._texts.close()
        self._table.close()

    def first(self, id_: str, place: str) -> str | None:
        """Where this id was read before; None if it was not, and then this place is noted. Raises Refused."""
        digest = blake2b(id_.encode(), digest_size=16).digest()
        try:
            if self._taken >= self._slots * _FULL:
                self._grow()
            slot, position = self._look_up(digest)
            if position:
                return self._text_at(position - 1)
            self._put(slot, digest, self._note(place) + 1)
            self._taken += 1
            return None
        except OSError as why:
            raise Refused(f"what was read cannot be noted in a temporary file: {why.strerror or why}") from why

    def _look_up(self, digest: bytes) -> tuple[int, int]:
        """The slot of this hash and the position in it; or the empty slot where it belongs, and 0."""
        slot = int.from_bytes(digest[:8], "little") % self._slots
        while True:
            self._table.seek(slot * _SLOT.size)
            found, position = _SLOT.unpack(self._table.read(_SLOT.size))
            if not position or found == digest:
                return slot, position
            slot = (slot + 1) % self._slots

    def _put(self, slot: int, digest: bytes, position: int) -> None:
        self._table.seek(slot * _SLOT.size)
        self._table.write(_SLOT.pack(digest, position))

    def _grow(self) -> None:
        before, self._table = self._table, _file()
        self._slots = self._slots * 2 or _FIRST_SLOTS
        for _ in range(self._slots * _SLOT.size // _CHUNK + 1):
            self._table.write(bytes(_CHUNK))
        before.seek(0)
        while chunk := before.read(_CHUNK):
            for digest, position in _SLOT.iter_unpack(chunk[: len(chunk) // _SLOT.size * _SLOT.size]):
                if position:
                    self._put(self._look_up(digest)[0], digest, position)
        before.close()

    def _note(self, place: str) -> int:
        text = place.encode("utf-8", "surrogateescape")  # as names of files may be written
        position = self._end
        self._texts.seek(position)
        self._texts.write(len(text).to_bytes(4, "little") + text)
        self._end += 4 + len(text)
        return position

    def _text_at(self, position: int) -> str:
        self._texts.seek(position)
        length = int.from_bytes(self._texts.read(4), "little")
        return self._texts.read(length).decode("utf-8", "surrogateescape")


def _file() -> BinaryIO:
    return cast(BinaryIO, TemporaryFile(buffering=0))  # the system keeps what is used often
