"""Words and proofs: what readers fetched and acknowledged, what persons took back, planned, approved and erased,
who is paused, what we owe to peers, and the seals on the logs."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("collection", sa.Column("epoch", Bytewise, nullable=False, server_default=sa.text("''")))
    for (id_,) in op.get_bind().execute(sa.text("SELECT id FROM collection")).all():
        named = {"id": id_, "epoch": str(uuid.uuid4())}
        op.get_bind().execute(sa.text("UPDATE collection SET epoch = :epoch WHERE id = :id"), named)
    for column in (
        sa.Column("epoch", Bytewise),
        sa.Column("skew", sa.BigInteger()),
        sa.Column("compared", sa.BigInteger()),
        sa.Column("difference", sa.Text()),
    ):
        op.add_column("pull", column)
    _make_what_readers_did()
    _make_what_persons_said()
    _make_what_is_between_peers()


def _make_what_readers_did() -> None:
    op.create_table(
        "fetch",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("first_position", sa.BigInteger(), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_fetch"),
    )
    op.create_index("ix_fetch_collection_id_party_id", "fetch", ["collection_id", "party_id"])
    op.create_table(
        "acknowledgement",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party_id", "collection_id", "position", name="pk_acknowledgement"),
        sa.CheckConstraint(
            "outcome IN ('purged', 'retained', 'refused')", name=op.f("ck_acknowledgement_outcome")
        ),
        sqlite_with_rowid=False,
    )


def _make_what_persons_said() -> None:
    op.create_table(
        "withdrawal",
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "collection_id", name="pk_withdrawal"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schedule",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name="pk_schedule"),
        sa.CheckConstraint("kind IN ('publish', 'withdraw', 'downgrade')", name=op.f("ck_schedule_kind")),
    )
    op.create_index("ix_schedule_incident_id", "schedule", ["incident_id"])
    op.create_index("ix_schedule_due", "schedule", ["due"])
    op.create_table(
        "approval",
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("by", Bytewise, nullable=False),
        sa.Column("version_key", Bytewise, nullable=False),
        sa.Column("follow", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "collection_id", "by", name="pk_approval"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasure",
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "sha256", name="pk_erasure"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seal",
        sa.Column("seq", Serial, primary_key=True, autoincrement=True),
        sa.Column("log", Bytewise, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_seal"),
        sa.UniqueConstraint("log", "last", name="uq_seal_log_last"),
    )
    op.create_table(
        "pause",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party_id", name="pk_pause"),
    )


def _make_what_is_between_peers() -> None:
    op.create_table(
        "owed",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("position", Bytewise, nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger()),
        sa.PrimaryKeyConstraint("party_id", "collection_id", "position", name="pk_owed"),
        sa.CheckConstraint("outcome IN ('purged', 'retained', 'refused')", name=op.f("ck_owed_outcome")),
        sqlite_with_rowid=False,
    )
    untold = sa.text("told IS NULL")
    op.create_index("ix_owed_untold", "owed", ["party_id"], sqlite_where=untold, postgresql_where=untold)
    op.create_table(
        "push",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("wanted", Bytewise, nullable=False),
        sa.Column("remote_id", Bytewise),
        sa.Column("cursor", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_success", sa.BigInteger()),
        sa.Column("last_error", sa.Text()),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name="fk_push_party_id_party"),
        sa.PrimaryKeyConstraint("party_id", "collection_id", "wanted", name="pk_push"),
    )
