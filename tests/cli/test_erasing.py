"""What is erased is gone from every file of the home, is asked back from readers, and does not come back."""

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import make_url

from cli_node import SAMPLES
from postgresql_server import NoPostgresql, PostgresqlServer, client, start
from tocsin.store import erasures
from tocsin.store.transaction import Store

CANARY = "Quokkafjord Savings Cooperative"


def _with_canary(node, folder) -> str:
    """A record that names a victim, its narrative too; imported and read twice, so that older bytes lie about."""
    folder.mkdir()
    sample = sorted(file for file in (SAMPLES / "amber").iterdir() if file.suffix == ".json")[0]
    value = json.loads(sample.read_text(encoding="utf-8"))
    value["victim"]["victim_id"] = CANARY
    for turn in ("first", "second"):
        value["summary"] = f"{CANARY} was hit, as the {turn} telling has it. " + "x" * 9000
        (folder / "record.json").write_text(json.dumps(value), encoding="utf-8")
        node.ok("import", "veris", str(folder), "--source", "canary", "--tlp", "amber")
    return node.lines("show", "canary:record", "--json")[0]["id"]


def _holding(node, words: str) -> list[str]:
    return [file.name for file in node.home.rglob("*") if file.is_file() and words.encode() in file.read_bytes()]


def test_no_byte_of_what_was_erased_is_left_in_the_home(node, tmp_path):
    id_ = _with_canary(node, tmp_path / "records")
    node("publish", id_, "--yes")
    assert _holding(node, CANARY)
    plan = node.ok("erase", id_, "--dry-run")
    assert "made with it alone" in plan
    assert _holding(node, CANARY)
    assert "why?" in node.refused("erase", id_, "--yes", code=2)
    node.ok("erase", id_, "--because", "asked by the victim", "--yes")
    assert _holding(node, CANARY) == []
    assert "the record agrees" in node.ok("audit", "verify")
    assert [one["subject"] for one in node.lines("audit", "list", id_, "--event", "erased", "--json")] == [id_]


def test_by_its_victims_name_everything_of_it_goes_and_the_name_is_not_kept(node, tmp_path):
    node.import_samples()
    _with_canary(node, tmp_path / "records")
    before = len(node.lines("incidents", "--json"))
    node.ok("erase", "--victim", CANARY.lower(), "--because", "asked", "--yes")
    assert _holding(node, CANARY) == []
    assert _holding(node, CANARY.lower()) == []
    assert len(node.lines("incidents", "--json")) == before - 1
    assert "no identity" in node.refused("erase", "--victim", "Nobody Whatever", "--because", "x", "--yes")


def test_what_was_erased_does_not_come_back_by_import_until_a_person_allows_it(node, tmp_path):
    id_ = _with_canary(node, tmp_path / "records")
    node.ok("erase", id_, "--because", "asked", "--yes")
    done = node("import", "veris", str(tmp_path / "records"), "--source", "canary", "--tlp", "amber")
    assert erasures.REFUSAL in done.output
    assert node.lines("incidents", "--json") == []
    assert "was not erased" in node.refused("erase", "--allow-again", "incident--" + "0" * 8 + id_[18:])
    node.ok("erase", "--allow-again", id_)
    node.ok("import", "veris", str(tmp_path / "records"), "--source", "canary", "--tlp", "amber")
    assert [one["id"] for one in node.lines("incidents", "--json")] == [id_]


def test_what_was_published_is_taken_back_first_and_files_that_name_it_are_listed(stocked):
    assert stocked("publish", "--waiting", "--yes").exit_code in (0, 3)
    id_ = next(one["id"] for one in stocked.lines("incidents", "--json"))
    (stocked.home / "bundles").mkdir()
    (stocked.home / "bundles" / "out.json").write_text(f'{{"id": "{id_}"}}')
    done = stocked("erase", id_, "--because", "asked", "--yes", "--json")
    assert done.exit_code == 3  # somebody must see to the file
    said = json.loads(done.stdout)
    assert said["files"] == [str(stocked.home / "bundles" / "out.json")]
    assert said["copies"] or said["taken_back"]
    with sqlite3.connect(stocked.home / "tocsin.db") as connection:
        (left,) = connection.execute(
            "SELECT count(*) FROM object_version WHERE id = ? AND raw IS NOT NULL", [id_]
        ).fetchone()
        kept = connection.execute("SELECT because, sha256 FROM erasure WHERE object_id = ?", [id_]).fetchall()
    connection.close()
    assert left == 0
    assert {because for because, _ in kept} == {"asked"}
    assert len(kept) >= 2


@pytest.fixture
def durable_postgresql() -> Iterator[PostgresqlServer]:
    """One that keeps what it commits, as commands insist on."""
    try:
        server = start(())
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    yield server
    server.stop()


def test_no_byte_of_what_was_erased_is_left_in_a_dump_of_postgresql_or_its_tables(
    node, durable_postgresql, tmp_path
):
    """Its log (WAL) is another matter, and said to be one."""
    try:
        pg_dump = client("pg_dump")
    except NoPostgresql as why:
        pytest.skip(f"no pg_dump: {why}")
    url = durable_postgresql.url()
    asyncio.run(Store.create(url))
    node.edit("database: sqlite", f'database: "{url}"')
    node.ok("apply", "--yes")
    id_ = _with_canary(node, tmp_path / "records")
    node("publish", id_, "--yes")

    def dump() -> bytes:
        return subprocess.run([pg_dump, "--inserts", url], capture_output=True, check=True).stdout

    assert _told_in(dump(), CANARY)
    _counted(url)  # as autovacuum does: statistics keep samples
    done = node("erase", id_, "--because", "asked by the victim", "--yes")
    assert (done.exit_code, "(WAL)" in done.stdout) == (3, True), done.output  # that log is left for a person
    dumped = dump()
    assert id_.encode() in dumped  # the fact is kept
    assert not _told_in(dumped, CANARY)
    tables = [file for file in (durable_postgresql.folder / "data/base").rglob("*") if file.is_file()]
    assert tables
    assert [file for file in tables if CANARY.encode() in file.read_bytes()] == []
    assert "the record agrees" in node.ok("audit", "verify")


def _told_in(dumped: bytes, words: str) -> bool:
    """Whether a dump holds these words, in a text or in the digits of bytes."""
    return words.encode() in dumped or words.encode().hex().encode() in dumped.lower()


def _counted(url: str) -> None:
    async def count() -> None:
        parsed = make_url(url)
        connection = await asyncpg.connect(
            host=parsed.query["host"], user=parsed.username, database=parsed.database
        )
        try:
            await connection.execute("ANALYZE")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    asyncio.run(count())
