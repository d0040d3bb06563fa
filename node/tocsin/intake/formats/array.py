"""Array: the members of a JSON array, each as its bytes, from a file of any size.

Only brackets and strings are looked at. What stands between the commas is for the strict reader to judge.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from tocsin.errors import BadInput

_CHUNK = 256 * 1024  # bytes
_BRACKETS = (b"[", b"{")
# a string that the text read so far does not end is left, to be looked at again
_UP_TO_A_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_UP_TO_A_MEMBERS_END = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)


class ArrayMembers:
    """The members of the array that a file holds from where it stands. `line`: that of the last one given."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file = file
        self._longest = longest  # bytes of one member
        self._data = file.read(_CHUNK)
        self.line = 1
        self.found = False

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Each member with its line. Raises BadInput where the array is broken; what stood before was given."""
        start = self._data.index(b"[") + 1
        line = 1 + self._data.count(b"\n", 0, start)
        while True:
            start, end = self._end_of_member(start)
            member = self._data[start:end]
            content = member.lstrip()
            self.line = line + member.count(b"\n", 0, len(member) - len(content))
            last = self._data[end : end + 1] == b"]"
            if content := content.rstrip():
                self.found = True
                yield self.line, content
            elif self.found or not last:
                raise BadInput("nothing stands before a comma, or after the last one")
            line += member.count(b"\n")
            start = end + 1
            if last:
                self._check_end(start, line)
                return

    def _end_of_member(self, start: int) -> tuple[int, int]:
        """Where the member at `start` begins and ends in `_data`, after reading as much as that takes."""
        position, depth = start, 1
        while True:
            pattern = _UP_TO_A_BRACKET if depth > 1 else _UP_TO_A_MEMBERS_END
            found = pattern.match(self._data, position)
            position = found.end() if found else position
            sign = self._data[position : position + 1]
            if sign in (b"", b'"'):
                self._read_on(start)
                start, position = 0, position - start
                continue
            if depth == 1 and sign in (b",", b"]"):
                return start, position
            depth += 1 if sign in _BRACKETS else -1
            if depth == 0:
                raise BadInput("a brace is closed that was never opened")
            position += 1

    def _read_on(self, start: int) -> None:
        """Drop what stands before `start`, and read more."""
        more = self._file.read(_CHUNK)
        if not more:
            raise BadInput("it ends before its closing bracket")
        if len(self._data) - start > self._longest:
            raise BadInput(f"a record of more than {self._longest} bytes")
        self._data = self._data[start:] + more

    def _check_end(self, start: int, line: int) -> None:
        rest = self._data[start:]
        while not rest.strip():
            line += rest.count(b"\n")
            rest = self._file.read(_CHUNK)
            if not rest:
                return
        self.line = line
        raise BadInput("more follows after its closing bracket")
