"""Lean: what is written for every object that comes in has fewer indexes, and no foreign key to look up.

Tables are made anew, since SQLite cannot change a key in place: their rows are set aside, and put back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_KEPT = {
    "belonging": "object_id, incident_id, role",
    "posting": "collection_id, object_id, party_id, posted, deleted",
    "publication": "incident_id, object_id, collection_id, state, version_key, follow, decided",
    "reference": "version_seq, target_id",
    "release": "collection_id, position, op, object_id, version_key, version_seq, type, form, size, hops, rules, "
    "configuration_sha256, released, current, last",
    "source": "version_seq, party_id, collection_id, word, authentic, hops, first_heard, last_heard, creator",
}


def upgrade() -> None:
    for table, columns in _KEPT.items():
        found = _found(table)
        op.execute(f"CREATE TABLE aside_{table} AS SELECT {columns} FROM {found}")  # noqa: S608  (our own names)
        op.drop_table(table)
    _make()
    for table, columns in _KEPT.items():
        op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM aside_{table}")  # noqa: S608  (the same)
        op.drop_table(f"aside_{table}")
    _index()
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE object_version SET (toast_tuple_target = 8160)")


def _found(table: str) -> str:
    """Where the rows of a table come from."""
    if table == "source":
        return "source JOIN object_version ON seq = version_seq"
    columns = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    if table == "reference" and "version_seq" not in columns:
        # the earliest databases noted what an object names, and not in which version: every version, then
        return (
            "(SELECT DISTINCT seq AS version_seq, target_id FROM reference "
            "JOIN object_version ON id = source_id) AS noted"
        )
    return table


def _make() -> None:
    op.create_table(
        "belonging",
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "incident_id", name=op.f("pk_belonging")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "posting",
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("collection_id", "object_id", name=op.f("pk_posting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "publication",
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version_key", Bytewise, nullable=True),
        sa.Column("follow", sa.Boolean(), nullable=False),
        sa.Column("decided", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('published', 'held', 'released')", name=op.f("ck_publication_state")),
        sa.PrimaryKeyConstraint("object_id", "incident_id", "collection_id", name=op.f("pk_publication")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reference",
        sa.Column("version_seq", Serial, nullable=False),
        sa.Column("target_id", Bytewise, nullable=False),
        sa.PrimaryKeyConstraint("version_seq", "target_id", name=op.f("pk_reference")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "release",
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.String(), nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("version_key", Bytewise, nullable=False),
        sa.Column("version_seq", Serial, nullable=False),
        sa.Column("type", Bytewise, nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("hops", sa.Integer(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("configuration_sha256", Bytewise, nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.CheckConstraint("form IN ('whole', 'copy')", name=op.f("ck_release_form")),
        sa.CheckConstraint("op IN ('put', 'revoke', 'withdraw', 'prune')", name=op.f("ck_release_op")),
        sa.PrimaryKeyConstraint("collection_id", "position", name=op.f("pk_release")),
    )
    op.create_table(
        "source",
        sa.Column("version_seq", Serial, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("authentic", sa.Boolean(), nullable=False),
        sa.Column("hops", sa.Integer(), nullable=False),
        sa.Column("first_heard", sa.BigInteger(), nullable=False),
        sa.Column("last_heard", sa.BigInteger(), nullable=False),
        sa.Column("creator", Bytewise, nullable=True),
        sa.CheckConstraint("word IN ('put', 'withdraw', 'revoke')", name=op.f("ck_source_word")),
        sa.PrimaryKeyConstraint("version_seq", "party_id", "collection_id", name=op.f("pk_source")),
        sqlite_with_rowid=False,
    )


def _index() -> None:
    op.create_index("ix_belonging_incident_id", "belonging", ["incident_id"])
    op.create_index("ix_reference_target_id", "reference", ["target_id"])
    _last("ix_release_last", ["collection_id", "position"])
    _last("ix_release_last_type", ["collection_id", "type", "position"])
    op.create_index("ix_release_version_seq_collection_id", "release", ["version_seq", "collection_id"])
    op.drop_index("ix_object_version_type_seq", "object_version")
    op.drop_index("ix_object_version_creator", "object_version")
    op.drop_column("object_version", "creator")
    op.create_index("ix_source_creator_party_id_version_seq", "source", ["creator", "party_id", "version_seq"])
    incident = sa.text("type = 'incident'")
    op.create_index(
        "ix_object_version_incident", "object_version", ["seq"], sqlite_where=incident, postgresql_where=incident
    )


def _last(name: str, columns: list[str]) -> None:
    op.create_index(name, "release", columns, sqlite_where=sa.text("last = 1"), postgresql_where=sa.text("last"))
