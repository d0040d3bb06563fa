"""The revisions make exactly the tables that the code describes, and a schema that is not ours is refused."""

import asyncio
import json
import re

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from tocsin.errors import Refused
from tocsin.store import audit, migrations, objects, transaction
from tocsin.store.tables import metadata
from tocsin.store.transaction import Store


async def _inside(url: str, work):
    """What `work` finds, on a connection that the store knows nothing of."""
    engine = create_async_engine(transaction._target(url).url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def test_the_revisions_and_the_tables_do_not_differ(database_url):
    def differences(connection):
        options = {"target_metadata": metadata, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await _inside(database_url, differences) == []


_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'alembic%' AND sql IS NOT NULL",
    "postgresql": """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'
        UNION ALL
        SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'alembic%'
        UNION ALL
        SELECT table_name || '.' || column_name,
               concat_ws(' ', data_type, is_nullable, column_default, collation_name)
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%'
        UNION ALL
        SELECT relname || ' options', array_to_string(reloptions, ' ') FROM pg_class WHERE reloptions IS NOT NULL
    """,
}


async def test_conditions_collations_and_checks_do_not_differ_either(database_url):
    """What Alembic does not compare: partial indexes, checks, collations."""

    def described(connection):
        rows = connection.execute(text(_INDEXES[connection.dialect.name]))
        return {name: _plain(sql) for name, sql in rows}

    def made_anew(connection):
        metadata.drop_all(connection)
        metadata.create_all(connection)
        found = described(connection)
        connection.rollback()  # PostgreSQL's database is used again
        return found

    migrated = await _inside(database_url, described)
    assert migrated == await _inside(database_url, made_anew)
    assert len(migrated) > 30


def _plain(sql: str) -> list[str]:
    """A definition whatever the order and layout of its parts."""
    return sorted(re.split(r'[\s,()"]+', sql))


async def test_a_schema_is_made_once_however_many_make_it(empty_database_url):
    await asyncio.gather(*(Store.create(empty_database_url) for _ in range(4)))
    store = await Store.open(empty_database_url, require_durable=False)
    try:
        async with store.writing() as tx:
            await audit.append(tx, "event", "s", {}, 1)
        await Store.create(empty_database_url)  # what is there already stays
        async with store.reading() as tx:
            assert len(await audit.entries(tx)) == 1
    finally:
        await store.close()


async def test_an_empty_database_is_refused_with_what_to_do(empty_database_url):
    if empty_database_url.startswith("sqlite"):
        transaction._make_file(transaction._target(empty_database_url).file)
    with pytest.raises(Refused, match=r"schema none.*tocsin check"):
        await Store.open(empty_database_url, require_durable=False)


async def test_the_schema_of_a_newer_tocsin_is_refused_and_left_alone(database_url):
    def age_to(revision):
        def age(connection):
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))

        return age

    newest = await _inside(database_url, lambda connection: migrations.revision_of(connection).newest)
    await _inside(database_url, age_to("9999"))
    try:
        for opening in (Store.open(database_url, require_durable=False), Store.create(database_url)):
            with pytest.raises(Refused, match=r"newer version of Tocsin \(schema 9999\)"):
                await opening
        names = await _inside(database_url, lambda connection: inspect(connection).get_table_names())
        assert "release" in names
    finally:
        await _inside(
            database_url,
            lambda connection: (
                connection.execute(text(f"UPDATE alembic_version SET version_num = '{newest}'")) and None
            ),
        )


# --- 0002 -------------------------------------------------------------------------------------------------

OLD_ROWS = {
    "collection": {"id": "c1", "key": "regional", "made": 1, "last_position": 40, "standing": 1},
    "object_version": {
        "seq": 1,
        "id": "incident--00000000-0000-4000-8000-000000000001",
        "type": "incident",
        "version": "2025-01-01T00:00:00.000Z",
        "version_key": "2025-01-01T00:00:00",
        "sha256": "ab" * 32,
        "raw": b"{}",
        "versioned": True,
        "spec_version": "2.1",
        "creator": "identity--00000000-0000-4000-8000-000000000002",
        "received": 2,
    },
    "source": {
        "version_seq": 1,
        "party_id": "p1",
        "collection_id": "c1",
        "word": "put",
        "authentic": False,
        "hops": 1,
        "first_heard": 3,
        "last_heard": 4,
    },
    "reference": {"version_seq": 1, "source_id": "incident--1", "target_id": "identity--2"},
    "belonging": {"object_id": "identity--2", "incident_id": "incident--1", "role": "victim"},
    "publication": {
        "incident_id": "incident--1",
        "object_id": "incident--1",
        "collection_id": "",
        "state": "published",
        "version_key": "2025-01-01T00:00:00",
        "follow": True,
        "decided": 5,
    },
    "posting": {"collection_id": "c1", "object_id": "incident--1", "party_id": "p1", "posted": 6, "deleted": 7},
    "release": {
        "collection_id": "c1",
        "position": 40,
        "op": "put",
        "object_id": "incident--1",
        "version_key": "2025-01-01T00:00:00",
        "version_seq": 1,
        "type": "incident",
        "form": "whole",
        "size": 2,
        "hops": 0,
        "rules": '["ours"]',
        "configuration_sha256": "cd" * 32,
        "released": 8,
        "current": True,
        "last": True,
    },
}
GONE = {("object_version", "creator"), ("reference", "source_id")}


async def test_what_the_first_schema_kept_is_there_in_the_second(empty_database_url):
    if empty_database_url.startswith("sqlite"):
        transaction._make_file(transaction._target(empty_database_url).file)

    def begin(connection):
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in OLD_ROWS.items():
            values = ", ".join(
                f"CAST(:{name} AS JSON)"
                if name == "rules" and connection.dialect.name == "postgresql"
                else f":{name}"
                for name in row
            )
            connection.execute(text(f'INSERT INTO "{table}" ({", ".join(row)}) VALUES ({values})'), row)

    def found(connection):
        rows = {}
        for table in OLD_ROWS:
            (row,) = connection.execute(text(f'SELECT * FROM "{table}"')).mappings().all()
            rows[table] = dict(row)
        return rows

    await _inside(empty_database_url, begin)
    await Store.create(empty_database_url)
    now = await _inside(empty_database_url, found)
    for table, row in OLD_ROWS.items():
        for name, value in row.items():
            if (table, name) in GONE:
                assert name not in now[table]
                continue
            kept = now[table][name]
            if name == "rules":
                assert (json.loads(kept) if isinstance(kept, str) else kept) == ["ours"]
            else:
                assert kept == value, (table, name)
    assert now["source"]["creator"] == OLD_ROWS["object_version"]["creator"]
    store = await Store.open(empty_database_url, require_durable=False)
    await store.close()


async def test_what_an_object_names_is_kept_of_the_earliest_databases_too(empty_database_url):
    """They noted it for the object as a whole."""
    if empty_database_url.startswith("sqlite"):
        transaction._make_file(transaction._target(empty_database_url).file)
    version = OLD_ROWS["object_version"]

    def begin(connection):
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("DROP TABLE reference"))
        connection.execute(text("CREATE TABLE reference (source_id VARCHAR, target_id VARCHAR)"))
        names = ", ".join(version)
        values = ", ".join(f":{name}" for name in version)
        connection.execute(text(f"INSERT INTO object_version ({names}) VALUES ({values})"), version)
        connection.execute(text("INSERT INTO reference VALUES (:id, 'identity--2')"), {"id": version["id"]})

    await _inside(empty_database_url, begin)
    await Store.create(empty_database_url)
    store = await Store.open(empty_database_url, require_durable=False)
    try:
        async with store.reading() as tx:
            assert await objects.names_of(tx, [version["id"]]) == {"identity--2"}
            assert await objects.referring(tx, ["identity--2"]) == {version["id"]}
    finally:
        await store.close()
