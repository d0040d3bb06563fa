"""Large imports: of a file of any size one record is held at a time; a repeated id is told with both places."""

import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import BadInput, Refused
from tocsin.intake import places as places_module
from tocsin.intake.formats import FORMATS, BadRecord, Reading, SourceRecord, array, read_paths
from tocsin.intake.formats.array import ArrayMembers
from tocsin.intake.formats.veris import LIMITS
from tocsin.intake.importing import classify_records
from tocsin.intake.places import Places

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab"\\[]{},é\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\]},', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=5), st.integers(1, 40), st.booleans())
def test_the_members_of_an_array_come_as_they_stand_wherever_reading_cuts_it(members, chunk, indented) -> None:
    text = json.dumps(members, indent=1 if indented else None, ensure_ascii=False).encode()
    before, array._CHUNK = array._CHUNK, chunk
    try:
        found = list(ArrayMembers(BytesIO(text), 10_000))
    finally:
        array._CHUNK = before
    assert [json.loads(content) for _, content in found] == members
    lines = text.split(b"\n")
    for line, content in found:
        assert lines[line - 1].strip().startswith(content.split(b"\n")[0]) or not indented


@pytest.mark.parametrize(
    ("text", "good", "line", "said"),
    [
        ('[{"a": 1},\n', 1, 1, "ends before its closing bracket"),
        ('[{"a": 1},\n{"b": "]', 1, 1, "ends before its closing bracket"),
        ("[1,\n,2]", 1, 2, "before a comma"),
        ("[1,\n]", 1, 2, "or after the last one"),
        ("[,]", 0, 1, "before a comma"),
        ("[1}]", 0, 1, "a brace is closed that was never opened"),
        ("[1]\n\n [2]", 1, 1, "more follows"),
        ("[1,\n" + "[" * 2_000_000, 1, 1, "a record of more than"),
        ('[1, "' + "x" * 2_000_000 + '"]', 1, 1, "a record of more than"),
    ],
)
def test_a_broken_array_gives_what_stood_before_and_the_place(text: str, good: int, line: int, said: str) -> None:
    members = ArrayMembers(BytesIO(text.encode()), 100_000)
    found = []
    with pytest.raises(BadInput, match=said):
        found.extend(members)
    assert len(found) == good
    assert members.line >= line


def record(number: int) -> bytes:
    return json.dumps(
        {"action": {"hacking": {"variety": ["DoS"]}}, "incident_id": f"r{number}", "notes": "x" * 2000}
    ).encode()


def lines(count: int) -> Iterator[bytes]:
    return (record(number) + b"\n" for number in range(count))


def in_array(count: int) -> Iterator[bytes]:
    yield b"["
    for number in range(count):
        yield (b",\n" if number else b"") + record(number)
    yield b"]"


def table(count: int) -> Iterator[bytes]:
    yield b"id,incident_type,notes\n"
    for number in range(count):
        yield f"r{number},phishing,{'x' * 2000}\n".encode()


@pytest.mark.parametrize(
    ("format_", "name", "written"),
    [
        ("veris", "a.jsonl", lines),
        ("veris", "b.json", lines),
        ("veris", "c.json", in_array),
        ("csv", "d.csv", table),
    ],
)
def test_reading_holds_one_record_at_a_time(tmp_path: Path, format_: str, name: str, written) -> None:
    def peak(count: int) -> int:
        with (tmp_path / name).open("wb") as file:
            file.writelines(written(count))
        tracemalloc.start()
        try:
            found = sum(
                isinstance(one, SourceRecord)
                for one in read_paths(FORMATS[format_], [tmp_path / name], Reading(id=("id",)))
            )
            assert found == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(500), peak(5000)
    assert many < few * 1.3
    assert many < 3_000_000  # of files of 10 MB


def test_a_line_or_record_beyond_the_limit_is_refused_and_the_next_is_read(tmp_path: Path, monkeypatch) -> None:
    from tocsin.intake.formats import veris

    monkeypatch.setattr(veris, "LIMITS", veris.LIMITS.__class__(body=5000, object=5000, depth=64, string=5000))
    file = tmp_path / "a.jsonl"
    file.write_bytes(record(1) + b"\n" + b"x" * 200_000 + b"\n" + record(2) + b"\n" + b"y" * 6000)
    found = list(read_paths(FORMATS["veris"], [file], Reading()))
    assert [getattr(one, "source_id", "bad") for one in found] == ["r1", "bad", "r2", "bad"]
    assert [one.place for one in found] == [f"{file}:{line}" for line in (1, 2, 3, 4)]
    (tmp_path / "b.json").write_bytes(b'{"action": {}, "notes": "' + b"x" * 6000 + b'"}')
    (alone,) = read_paths(FORMATS["veris"], [tmp_path / "b.json"], Reading())
    assert isinstance(alone, BadRecord)
    assert "a record of more than" in alone.reason
    assert LIMITS.object > 5000


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"".join(in_array(3))))
    writer.start()
    found = list(read_paths(FORMATS["veris"], [pipe], Reading()))
    writer.join()
    assert [one.source_id for one in found if isinstance(one, SourceRecord)] == ["r0", "r1", "r2"]


def test_a_table_in_another_encoding_is_refused_whole_wherever_the_fault_is(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = "".join(f"{number},é{'x' * 100}\n" for number in range(5000)).encode()
    for bad in (b"1,Z\xfcrich\n", b"1,Z\xc3"):
        file.write_bytes(b"id,x\n" + rows + bad)
        (found,) = read_paths(FORMATS["csv"], [file], Reading(id=("id",)))
        assert isinstance(found, BadRecord)
        assert f"line 5002, byte {5 + len(rows) + 3}" in found.reason
    file.write_bytes(b"id,x\n" + rows)
    assert len(list(read_paths(FORMATS["csv"], [file], Reading(id=("id",))))) == 5000


# --- places --------------------------------------------------------------------------------------------------


def test_the_first_place_of_an_id_is_told_however_many_there_are() -> None:
    with Places() as places:
        for number in range(20_000):
            assert places.first(f"id {number}", f"f\n:{number}") is None
        for number in (0, 1, 2457, 2458, 9_999, 19_999):
            assert places.first(f"id {number}", "later") == f"f\n:{number}"
        assert places.first("", "nowhere") is None
        assert places.first("", "again") == "nowhere"


def test_a_name_that_is_no_text_is_told_as_it_is() -> None:
    name = os.fsdecode(b"\xff.json")
    with Places() as places:
        assert places.first("a", name) is None
        assert places.first("a", "b") == name


def test_a_full_disk_is_told_in_words(monkeypatch) -> None:
    class Full(BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(places_module, "_file", Full)
    with Places() as places, pytest.raises(Refused, match="No space left on device"):
        places.first("a", "b")


def test_a_repeated_id_is_told_by_classify_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(record(1) + b"\n" + record(2) + b"\n" + record(1))
    found = list(classify_records(None, "veris", [tmp_path]))
    assert found[2] == BadRecord(
        f"{tmp_path}/a.jsonl:3", f"record 'r1' was already read from {tmp_path}/a.jsonl:1"
    )
