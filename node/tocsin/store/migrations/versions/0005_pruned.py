"""Pruned: what a log no longer keeps is found without looking through it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pruned = sa.text("op = 'prune'")
    op.create_index(
        "ix_release_prune",
        "release",
        ["collection_id", "object_id"],
        sqlite_where=pruned,
        postgresql_where=pruned,
    )
