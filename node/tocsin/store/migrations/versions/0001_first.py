"""The first schema: parties, objects, the log, and what the node keeps about itself."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "assessment",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("by_role", sa.String(), nullable=False),
        sa.Column("because", sa.Text(), nullable=True),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_assessment")),
    )
    op.create_index(op.f("ix_assessment_incident_id"), "assessment", ["incident_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", Bytewise, nullable=False),
        sa.Column("subject", Bytewise, nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"], unique=False)
    op.create_table(
        "belonging",
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "incident_id", name=op.f("pk_belonging")),
    )
    op.create_index("ix_belonging_incident_id", "belonging", ["incident_id"], unique=False)
    op.create_table(
        "collection",
        sa.Column("id", Bytewise, nullable=False),
        sa.Column("key", Bytewise, nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stuck", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("key", name=op.f("uq_collection_key")),
    )
    op.create_table(
        "configuration",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_configuration")),
    )
    op.create_table(
        "job",
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("leased_by", sa.String(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
    )
    op.create_table(
        "object_version",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("id", Bytewise, nullable=False),
        sa.Column("type", Bytewise, nullable=False),
        sa.Column("version", Bytewise, nullable=False),
        sa.Column("version_key", Bytewise, nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("versioned", sa.Boolean(), nullable=False),
        sa.Column("spec_version", Bytewise, nullable=False),
        sa.Column("creator", Bytewise, nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_object_version")),
        sa.UniqueConstraint("id", "version_key", "sha256", name=op.f("uq_object_version_id_version_key_sha256")),
    )
    op.create_index(op.f("ix_object_version_creator"), "object_version", ["creator"], unique=False)
    op.create_index("ix_object_version_type_seq", "object_version", ["type", "seq"], unique=False)
    op.create_index(
        "uq_object_version_unversioned",
        "object_version",
        ["id", "sha256"],
        unique=True,
        sqlite_where=sa.text("versioned = 0"),
        postgresql_where=sa.text("NOT versioned"),
    )
    op.create_table(
        "party",
        sa.Column("id", Bytewise, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("identity_id", Bytewise, nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("suspended", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("kind IN ('account', 'peer')", name=op.f("ck_party_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party")),
        sa.UniqueConstraint("identity_id", name=op.f("uq_party_identity_id")),
        sa.UniqueConstraint("name", name=op.f("uq_party_name")),
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
    )
    op.create_table(
        "record",
        sa.Column("incident_id", Bytewise, nullable=False),
        sa.Column("owner", Bytewise, nullable=False),
        sa.Column("source", Bytewise, nullable=False),
        sa.Column("format", Bytewise, nullable=False),
        sa.Column("source_id", Bytewise, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("mapping", sa.String(), nullable=False),
        sa.Column("translation", sa.JSON(), nullable=False),
        sa.Column("translation_sha256", Bytewise, nullable=False),
        sa.Column("imported", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_record")),
        sa.UniqueConstraint(
            "owner", "source", "format", "source_id", name=op.f("uq_record_owner_source_format_source_id")
        ),
    )
    op.create_table(
        "status",
        sa.Column("id", Bytewise, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("requested", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status")),
    )
    op.create_index(op.f("ix_status_requested"), "status", ["requested"], unique=False)
    op.create_table(
        "copy",
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("original_id", Bytewise, nullable=False),
        sa.Column("copy_id", Bytewise, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("body_sha256", Bytewise, nullable=False),
        sa.Column("omitted", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_copy_collection_id_collection")
        ),
        sa.PrimaryKeyConstraint("collection_id", "original_id", name=op.f("pk_copy")),
        sa.UniqueConstraint("copy_id", name=op.f("uq_copy_copy_id")),
    )
    op.create_table(
        "grant",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("first_position", sa.BigInteger(), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=True),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('reader', 'writer')", name=op.f("ck_grant_role")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_grant_collection_id_collection")
        ),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_grant_party_id_party")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_grant")),
    )
    op.create_index("ix_grant_collection_id_party_id", "grant", ["collection_id", "party_id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("version", Bytewise, nullable=False),
        sa.Column("sha256", Bytewise, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('stored', 'duplicate', 'quarantined', 'refused')", name=op.f("ck_ledger_outcome")
        ),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_ledger_party_id_party")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
        sa.UniqueConstraint(
            "party_id",
            "collection_id",
            "position",
            "object_id",
            "version",
            "sha256",
            name=op.f("uq_ledger_party_id_collection_id_position_object_id_version_sha256"),
        ),
    )
    op.create_index("ix_ledger_outcome", "ledger", ["outcome"], unique=False)
    op.create_table(
        "posting",
        sa.Column("collection_id", Bytewise, nullable=False),
        sa.Column("object_id", Bytewise, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_posting_collection_id_collection")
        ),
        sa.PrimaryKeyConstraint("collection_id", "object_id", name=op.f("pk_posting")),
    )
    op.create_table(
        "pull",
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("wanted", Bytewise, nullable=False),
        sa.Column("collection_id", Bytewise, nullable=True),
        sa.Column("protocol", sa.String(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_success", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_pull_party_id_party")),
        sa.PrimaryKeyConstraint("party_id", "wanted", name=op.f("pk_pull")),
    )
    op.create_table(
        "reference",
        sa.Column("version_seq", Serial, nullable=False),
        sa.Column("source_id", Bytewise, nullable=False),
        sa.Column("target_id", Bytewise, nullable=False),
        sa.ForeignKeyConstraint(
            ["version_seq"], ["object_version.seq"], name=op.f("fk_reference_version_seq_object_version")
        ),
        sa.PrimaryKeyConstraint("version_seq", "target_id", name=op.f("pk_reference")),
    )
    op.create_index("ix_reference_source_id", "reference", ["source_id"], unique=False)
    op.create_index("ix_reference_target_id", "reference", ["target_id"], unique=False)
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
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_release_collection_id_collection")
        ),
        sa.ForeignKeyConstraint(
            ["version_seq"], ["object_version.seq"], name=op.f("fk_release_version_seq_object_version")
        ),
        sa.PrimaryKeyConstraint("collection_id", "position", name=op.f("pk_release")),
    )
    op.create_index(
        "ix_release_last",
        "release",
        ["collection_id", "position"],
        unique=False,
        sqlite_where=sa.text("last = 1"),
        postgresql_where=sa.text("last"),
    )
    op.create_index(
        "ix_release_last_type",
        "release",
        ["collection_id", "type", "position"],
        unique=False,
        sqlite_where=sa.text("last = 1"),
        postgresql_where=sa.text("last"),
    )
    op.create_index("ix_release_object", "release", ["collection_id", "object_id", "position"], unique=False)
    op.create_index(
        "ix_release_version_seq_collection_id", "release", ["version_seq", "collection_id"], unique=False
    )
    op.create_index(
        "uq_release_current",
        "release",
        ["collection_id", "object_id", "version_key"],
        unique=True,
        sqlite_where=sa.text("current = 1"),
        postgresql_where=sa.text("current"),
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
        sa.CheckConstraint("word IN ('put', 'withdraw', 'revoke')", name=op.f("ck_source_word")),
        sa.ForeignKeyConstraint(
            ["version_seq"], ["object_version.seq"], name=op.f("fk_source_version_seq_object_version")
        ),
        sa.PrimaryKeyConstraint("version_seq", "party_id", "collection_id", name=op.f("pk_source")),
    )
    op.create_index("ix_source_party_id_collection_id", "source", ["party_id", "collection_id"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", Bytewise, nullable=False),
        sa.Column("party_id", Bytewise, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_token_party_id_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
    )
    op.create_index(op.f("ix_token_party_id"), "token", ["party_id"], unique=False)
