"""Seals: nothing that was written to a log is changed, taken out, put in or moved without its seal telling."""

import random

import pytest
from sqlalchemy import text

from samples import NOW, incident, keep, make_collection, observable, put, withdraw
from tocsin.store import audit, configuration, grants, parties, releases, seals

SEED = 20_260_301


async def _fill(store) -> str:
    """A log of 60 entries in 20 transactions, two dozen grants, ten configurations, 40 events; all sealed."""
    async with store.writing() as tx:
        regional = await make_collection(tx)
        await parties.ensure_parties(tx, {f"p{n}": "peer" for n in range(8)}, {}, NOW)
        people = [party.id for party in await parties.parties(tx)]
    for turn in range(10):
        async with store.writing() as tx:
            now = NOW + turn * 1_000_000
            await configuration.apply(tx, {"tocsin.yaml": f"# {turn}"}, f"sha{turn}", now)
            await grants.set_grants(tx, {(p, regional, "reader") for p in people[turn % 4 : turn % 4 + 4]}, now)
            entries = []
            for number in (turn * 2, turn * 2 + 1):
                version = incident(number)
                entries.append(put(version, await keep(tx, version)))
            await releases.append(tx, regional, entries, f"sha{turn}", now)
        async with store.writing() as tx:
            version = observable(100 + turn)
            more = [put(version, await keep(tx, version)), withdraw(incident(turn * 2))]
            await releases.append(tx, regional, more, f"sha{turn}", now + 1)
            await audit.append(tx, "received", "p1", {"stored": turn}, now)
            await audit.append(tx, "published", incident(turn).id, {"collection": None}, now)
            if turn % 3 == 0:
                await seals.seal_rest(tx, seals.AUDIT, now)
    async with store.writing() as tx:
        await seals.seal_rest(tx, seals.AUDIT, NOW)
    return regional


async def _faults(store) -> dict[str, str]:
    async with store.reading() as tx:
        checked = [await seals.check(tx, log) for log in await seals.logs(tx)]
    return {one.log: one.fault for one in checked if one.fault}


async def test_what_was_written_agrees_with_its_seals(store):
    await _fill(store)
    async with store.reading() as tx:
        checked = {one.log: one for one in [await seals.check(tx, log) for log in await seals.logs(tx)]}
    assert not [one.fault for one in checked.values() if one.fault]
    assert not [one for one in checked.values() if one.unsealed]
    assert [one.rows for log, one in checked.items() if log.startswith("release ")] == [40]
    assert checked[seals.CONFIGURATION].rows == checked[seals.CONFIGURATION].seals == 10
    assert checked[seals.AUDIT].rows == 20
    assert checked[seals.GRANTS].rows > 10 < checked[seals.GRANTS_ENDED].rows


# table → (what orders its rows, {column that never changes: another value}); of grants, what ended too
TABLES = {
    "release": (
        "position",
        {
            "position": "position + 1",
            "op": "CASE op WHEN 'put' THEN 'revoke' ELSE 'put' END",
            "object_id": "object_id || '0'",
            "type": "type || 'x'",
            "version_seq": "version_seq + 1",
            "version_key": "version_key || '0'",
            "form": "CASE form WHEN 'whole' THEN 'copy' ELSE 'whole' END",
            "hops": "hops + 1",
            "rules": "'[\"other\"]'",
            "configuration_sha256": "configuration_sha256 || '0'",
            "released": "released - 1",
        },
    ),
    "grant": (
        "seq",
        {
            "seq": "seq + 1000",
            "party_id": "party_id",  # replaced below: it must be that of a party
            "role": "CASE role WHEN 'reader' THEN 'writer' ELSE 'reader' END",
            "first_position": "first_position + 1",
            "last_position": "coalesce(last_position, 0) + 1",
            "given": "given + 1",
            "ended": "coalesce(ended, 0) + 1",
        },
    ),
    "configuration": (
        "seq",
        {
            "seq": "seq + 1000",
            "sha256": "sha256 || '0'",
            "files": '\'{"tocsin.yaml": "other"}\'',
            "applied": "applied + 1",
        },
    ),
    "audit": (
        "seq",
        {
            "seq": "seq + 1000",
            "at": "at + 1",
            "event": "event || 'x'",
            "subject": "subject || 'x'",
            "details": "'{}'",
        },
    ),
    "seal": (
        "seq",
        {
            "log": "log || 'x'",
            "first": "first + 1",
            "last": "last + 1000003",
            "entries": "entries + 1",
            "sha256": "substr(sha256, 2) || '0'",
            "at": "at + 1",
        },
    ),
}


class _Undone(Exception):
    pass


async def _tamper(tx, table: str, chance: random.Random) -> str:
    """Change, take out, put in, or exchange rows of a table, and say what was done."""
    key, columns = TABLES[table]
    places = sorted((await tx.connection.execute(text(f'SELECT {key} FROM "{table}"'))).scalars())
    way = chance.choice(["edit", "edit", "delete", "insert", "exchange"])
    at, other = chance.sample(places, 2)
    if way == "edit":
        column = chance.choice(sorted(columns))
        value = columns[column]
        if column == "party_id":
            value = "(SELECT min(id) FROM party WHERE id <> party_id)"
        if column in ("rules", "files", "details") and tx.on_postgresql:
            value = f"CAST({value} AS json)"
        await tx.connection.execute(text(f'UPDATE "{table}" SET "{column}" = {value} WHERE {key} = {at}'))
        return f"{column} at {at}"
    if way == "delete":
        newest = "SELECT max(seq) FROM seal GROUP BY log" if table == "seal" else "SELECT -1"
        await tx.connection.execute(text(f'DELETE FROM "{table}" WHERE {key} = {at} AND {key} NOT IN ({newest})'))
        return f"delete {at}"
    names = [column.name for column in releases.release.metadata.tables[table].columns if column.name != key]
    listed = ", ".join(f'"{name}"' for name in names)
    if way == "insert":
        place = (
            f"{key} + 7" if table == "release" else "(SELECT max(seq) + 1 FROM seal)" if table == "seal" else key
        )
        if table == "seal":
            listed_values = listed.replace('"last"', '"last" + 1000003')
        else:
            listed_values = listed
            await tx.connection.execute(text(f'UPDATE "{table}" SET {key} = -1 WHERE {key} = {other}'))
        free = str(other) if table != "release" and table != "seal" else place
        await tx.connection.execute(
            text(
                f'INSERT INTO "{table}" ({key}, {listed}) '
                f'SELECT {free}, {listed_values} FROM "{table}" WHERE {key} = {at}'
            )
        )
        return f"insert after {at}"
    if table == "seal":  # exchange what two seals of one log say
        same = (
            (
                await tx.connection.execute(
                    text("SELECT log FROM seal GROUP BY log HAVING count(*) > 3 ORDER BY log")
                )
            )
            .scalars()
            .all()
        )
        log = chance.choice(same)
        rows = (
            await tx.connection.execute(
                text("SELECT seq, sha256 FROM seal WHERE log = :l ORDER BY seq"), {"l": log}
            )
        ).all()
        one, two = chance.sample(rows, 2)
        for row, value in ((one, two.sha256), (two, one.sha256)):
            await tx.connection.execute(
                text("UPDATE seal SET sha256 = :v WHERE seq = :s"), {"v": value, "s": row.seq}
            )
        return f"exchange seals {one.seq} {two.seq}"
    for old, new in ((at, -5), (other, at), (-5, other)):
        await tx.connection.execute(text(f'UPDATE "{table}" SET {key} = {new} WHERE {key} = {old}'))
    return f"exchange {at} and {other}"


@pytest.mark.parametrize("table", TABLES)
async def test_two_hundred_ways_to_tamper_with_a_table_are_found(store, table):
    await _fill(store)
    chance = random.Random(f"{SEED} {table}")
    missed = []
    for turn in range(200):
        try:
            async with store.writing() as tx:
                before = (await tx.connection.execute(text(f'SELECT * FROM "{table}" ORDER BY 1, 2'))).all()
                done = await _tamper(tx, table, chance)
                after = (await tx.connection.execute(text(f'SELECT * FROM "{table}" ORDER BY 1, 2'))).all()
                concerned = [log for log in await seals.logs(tx) if table == "seal" or log.startswith(table)]
                found = [one for log in concerned if (one := await seals.check(tx, log)).fault or one.unsealed]
                if not found and before != after:
                    missed.append((turn, done))
                raise _Undone
        except _Undone:
            pass
    assert missed == [], f"seed {SEED}"


async def test_taking_away_what_does_not_stand_seals_nothing(store):
    async with store.writing() as tx:
        regional = await make_collection(tx)
        for _ in range(2):
            assert await releases.append(tx, regional, [withdraw(incident(1))], "c", NOW) == []
        assert await seals.last(tx, seals.log_of_releases(regional)) is None
