"""Formats: bytes become records, each with its id and place; what is wrong with one never stops the others."""

import json
from pathlib import Path

import pytest

from tocsin.intake.formats import FORMATS, BadRecord, Reading, SourceRecord, read_paths

CSV_BY_ID = Reading(id=("id",))


def record(**more: object) -> dict[str, object]:
    return {"action": {"hacking": {"variety": ["DoS"]}}, "incident_id": "inc-1", **more}


def read(format_: str, path: Path, reading: Reading = CSV_BY_ID) -> list[SourceRecord | BadRecord]:
    return list(read_paths(FORMATS[format_], [path], reading))


def ids(found: list[SourceRecord | BadRecord]) -> list[str]:
    return [one.source_id if isinstance(one, SourceRecord) else "bad" for one in found]


def test_one_record_in_a_file_has_the_stem_as_its_id_whatever_it_says_itself(tmp_path: Path) -> None:
    file = tmp_path / "ABC-7.json"
    file.write_text(json.dumps(record(), indent=2))
    (found,) = read("veris", file)
    assert isinstance(found, SourceRecord)
    assert (found.source_id, found.place, found.raw) == ("ABC-7", f"{file}:1", file.read_bytes())


def test_records_of_an_array_have_their_own_ids_and_lines_and_are_bad_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "many.json"
    good = json.dumps(record(plus={"master_id": "M1"}))
    doubled = '{"action": {}, "action": {}, "incident_id": "x"}'
    file.write_text(f"[\n{good},\n\n{doubled},\n {json.dumps(record())},\n {json.dumps({'action': {}})}]")
    found = read("veris", file)
    assert ids(found) == ["M1", "bad", "inc-1", "bad"]
    assert [one.place for one in found] == [f"{file}:{line}" for line in (2, 4, 5, 6)]
    bad = [one.reason for one in found if isinstance(one, BadRecord)]
    assert "given twice" in bad[0]
    assert "no id" in bad[1]


def test_json_lines_below_a_line_of_another_kind_are_read(tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text(f"# exported today\n{json.dumps(record())}\n")
    assert ids(read("veris", file)) == ["bad", "inc-1"]


def test_a_header_in_braces_is_still_a_table(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("[id],{x}\n1,2\n")
    assert ids(read("csv", file, Reading(id=("[id]",)))) == ["1"]


def test_json_lines_are_recognised_by_their_content(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text("\n".join([json.dumps(record()), "", "{broken", json.dumps(record(incident_id="inc-2"))]))
    found = read("veris", file)
    assert ids(found) == ["inc-1", "bad", "inc-2"]
    assert found[1].place == f"{file}:3"


def test_a_folder_is_read_in_order_at_any_depth_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("z.json", "b/a.json", ".git/hidden.json", ".draft.json", "notes.txt"):
        (tmp_path / name).write_text(json.dumps(record()))
    assert ids(read("veris", tmp_path)) == ["a", "z"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"   \n ", "empty"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"type": "bundle", "id": "bundle--1", "objects": []}', "looks like STIX"),
        (b'{"Event": {"info": "x"}}', "looks like a MISP event"),
        (b'{"type": "object", "properties": {"action": {}}}', "looks like a JSON Schema"),
        (b'{"action": {}, "security_incident": ["Confirmed", "Suspected"]}', "security_incident lists the values"),
        (b'{"action": {}, "targeted": {"Targeted": "a", "Opportunistic": "b"}}', "targeted lists the values"),
        (b'{"attribute": {"confidentiality": {"data_disclosure": ["No", "Yes"]}}}', "data_disclosure lists"),
        (
            b'{"action": {}, "timeline": {"discovery": {"unit": ["Days", "Weeks"]}}}',
            "timeline.discovery.unit lists",
        ),
        (b"id;kind\n1;phishing\n", "the file is not JSON; it looks like a table: is it CSV?"),
        (b"\xef\xbb\xbfTicket,Kind\r\n1,{x}\r\n", "the file is not JSON; it looks like a table: is it CSV?"),
        (b"Dear all,\n", "the file is not JSON"),
        (b"hello", "the file is not JSON"),
        (b"42", "an object is expected"),
        (b"[]", "the array is empty"),
        (b'[{"action": {}}', "not a JSON array"),
        (b'{"action": []}', "none of action, actor, asset, attribute"),
        (b'{"action": {}, "actor": "me"}', "actor: an object is expected"),
        (b'{"action": {"a": 1e999}}', "out of range"),
        (b'{"action": ' + b"[" * 100 + b"]" * 100 + b"}", "nested"),
        (b'{"action": {"a": "\\ud800"}}', "surrogate"),
    ],
)
def test_what_is_no_veris_record_is_refused_with_a_reason(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    (found,) = read("veris", file)
    assert isinstance(found, BadRecord)
    assert said in found.reason
    assert found.place.startswith(str(file))


def test_an_unreadable_file_is_a_bad_record_and_the_next_is_read(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(record()))
    found = list(read_paths(FORMATS["veris"], [tmp_path / "missing.json", good], Reading()))
    assert ids(found) == ["bad", "good"]


@pytest.mark.parametrize("name", ["vcdb-enum-1.3.4.json", "verisc-enum-latest.json"])
def test_the_enumerations_of_veris_are_no_incident_of_every_category(name: str) -> None:
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "vcdb" / name
    if not file.exists():
        pytest.skip("the VERIS community's files are not beside this checkout")
    (found,) = read("veris", file)
    assert isinstance(found, BadRecord)
    assert "this looks like VERIS's own list of values" in found.reason


@pytest.mark.parametrize("odd", [["Confirmed"], [], {}, None, "Confirmed"])
def test_a_record_with_one_value_oddly_written_is_still_a_record(tmp_path: Path, odd: object) -> None:
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(record(security_incident=odd, timeline={"discovery": {"unit": "Days"}})))
    assert ids(read("veris", file)) == ["odd"]


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    (found,) = read("veris", tmp_path)
    assert isinstance(found, BadRecord)
    assert "no .json" in found.reason


def test_lines_of_a_table_are_those_of_the_file_also_below_cells_with_line_breaks(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbfid;note\r\n1;"two\r\nlines"\r\n\r\n2;x;y\r\n;z\r\n3;\r\n')
    found = read("csv", file)
    assert ids(found) == ["1", "bad", "bad", "3"]
    assert [one.place.rpartition(":")[2] for one in found] == ["2", "5", "6", "7"]
    assert [one.reason for one in found if isinstance(one, BadRecord)] == [
        "3 cells, but the header has 2 columns",
        "no id: 'id' is empty",
    ]


def test_a_row_keeps_its_header_so_that_it_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('id,note\n7,"a,b"\n')
    (found,) = read("csv", file)
    assert isinstance(found, SourceRecord)
    assert FORMATS["csv"].parse(found.raw, CSV_BY_ID) == found.value == {"id": "7", "note": "a,b"}


def test_an_id_may_be_made_of_several_columns(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("year\tnumber\n2025\t7\n")
    assert ids(read("csv", file, Reading(id=("year", "number")))) == ["2025/7"]


def test_no_two_rows_share_an_id_because_of_what_joins_its_parts(tmp_path: Path) -> None:
    rows = [("x/y", "z"), ("x", "y/z"), ("x\\", "y/z"), ("x\\/y", "z"), ("x\\\\", "y")]
    file = tmp_path / "t.csv"
    file.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    found = ids(read("csv", file, Reading(id=("a", "b"))))
    assert found == ["x\\/y/z", "x/y\\/z", "x\\\\/y\\/z", "x\\\\\\/y/z", "x\\\\\\\\/y"]
    assert len(set(found)) == len(rows)


def test_an_id_of_one_column_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id\n2025/7\\a\n")
    assert ids(read("csv", file)) == ["2025/7\\a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("idd,x\n1,2\n", "no column 'id', which holds the id; did you mean 'idd'?"),
        ("id,x,x\n1,2,3\n", "the column 'x' is there twice"),
        ("id,,x\n1,2,3\n", "column 2 of the header has no name"),
        ('id,x\n1,"open\n', "not CSV"),
        ("id,x\n1,\0\n", "NUL in line 2"),
        ('{"action": {}}\n', "it looks like JSON, not a table"),
        ('\n [\n  {"id": 1, "x": 2}\n]\n', "it looks like JSON, not a table"),
        ("{}", "it looks like JSON, not a table"),
    ],
)
def test_a_faulty_table_is_refused_with_a_reason(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    found = read("csv", file)
    assert isinstance(found[-1], BadRecord)
    assert said in found[-1].reason


def test_a_table_without_a_needed_column_is_refused_once_with_the_line_that_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id,Art des Vorfalls,Festgestellt am\n1,x,2025\n2,y,2025\n")
    needed = {"Art des Vorfals": "mappings/csv.yaml:8", "Ort": "mappings/csv.yaml:12", "Festgestellt am": "m:9"}
    (found,) = read("csv", file, Reading(id=("id",), needed=needed))
    assert found == BadRecord(
        f"{file}:1",
        "no column 'Art des Vorfals', which mappings/csv.yaml:8 reads; did you mean 'Art des Vorfalls'?; "
        "no column 'Ort', which mappings/csv.yaml:12 reads (columns: id, Art des Vorfalls, Festgestellt am)",
    )


def test_a_row_taken_in_by_an_earlier_mapping_can_be_read_again_without_a_column_needed_since() -> None:
    assert FORMATS["csv"].parse(b"id,x\n1,2\n", Reading(id=("id",), needed={"new": "m:1"})) == {
        "id": "1",
        "x": "2",
    }


def test_latin_1_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes("id,x\n1,Zürich\n".encode("latin-1"))
    (found,) = read("csv", file)
    assert isinstance(found, BadRecord)
    assert "line 2" in found.reason
