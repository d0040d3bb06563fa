"""Pushed: what became of each version that we added to a collection of a peer's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "pushed",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("wanted", Bytewise, nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("version", Bytewise, nullable=False),
        sa.Column("named", Bytewise, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party_id", "collection_id", "wanted", "object_id", "version", name="pk_pushed"),
        sa.CheckConstraint(
            "outcome IN ('posting', 'added', 'refused', 'deleted', 'untold')", name=op.f("ck_pushed_outcome")
        ),
        sqlite_with_rowid=False,
    )
    kept_out = sa.text("outcome IN ('refused', 'untold')")
    op.create_index("ix_pushed_kept_out", "pushed", ["party_id"], sqlite_where=kept_out, postgresql_where=kept_out)
