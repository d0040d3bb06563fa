"""Tables: what we keep. The one description of the database, for SQLite and PostgreSQL alike.

Times are microseconds since 1970 in 64-bit integers: SQLite has no zoned time, and `date_added` is a position
anyway, which only looks like a time. Texts that are compared byte by byte (ids, version keys) have the "C"
collation.

A partial index serves SQLite only where the query holds its condition word for word; SQLAlchemy writes a true
boolean column as `= 1` there, so the indexes say `= 1` too.

What is written for every object that comes in is kept lean: rows that are found by their key alone lie in that
key (`WITHOUT ROWID`), no index serves only what is asked once a day, and these tables have no foreign keys, which
PostgreSQL would look up row by row. Their rows are written together with what they point to, by one function each
(`objects`, `releases`, `postings`), and nothing that they point to is ever deleted.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Bytewise = String().with_variant(String(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only an INTEGER PRIMARY KEY up by itself

# --- who -------------------------------------------------------------------------------------------------

# An account or a peer, by an id made at first sight: grants, cursors and duties hang on it, never on a name.
party = Table(
    "party",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("name", Bytewise, nullable=False, unique=True),
    Column("kind", String, nullable=False),  # account | peer
    Column("identity_id", Bytewise, unique=True),  # the STIX identity that a peer's node speaks for, pinned
    Column("first_seen", BigInteger, nullable=False),
    Column("suspended", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("kind IN ('account', 'peer')", name="kind"),
)

# Only the SHA-256 of a token is kept: 256 random bits need no slow hash.
token = Table(
    "token",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("party_id", Bytewise, ForeignKey("party.id"), nullable=False, index=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
)

# --- what --------------------------------------------------------------------------------------------------

# One immutable (id, version, SHA-256) with its bytes. `version` is the literal of `modified` or `created`, or
# our time of first receipt for an object with neither; `version_key` sorts it exactly. `raw` is null once no
# source offers the object any more. PostgreSQL leaves what fits on a page as it is: it would compress every row
# above 2 kB, and half of the time of reading them would go into undoing that.
object_version = Table(
    "object_version",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", Bytewise, nullable=False),
    Column("type", Bytewise, nullable=False),
    Column("version", Bytewise, nullable=False),
    Column("version_key", Bytewise, nullable=False),
    Column("sha256", Bytewise, nullable=False),
    Column("raw", LargeBinary),
    Column("versioned", Boolean, nullable=False),  # false for an object with neither `modified` nor `created`
    Column("spec_version", Bytewise, nullable=False),  # of STIX: 2.0 | 2.1
    Column("received", BigInteger, nullable=False),
    UniqueConstraint("id", "version_key", "sha256"),
    # one version per hash, whenever it arrives again: its version key is the time of its first receipt
    Index(
        "uq_object_version_unversioned",
        "id",
        "sha256",
        unique=True,
        sqlite_where=text("versioned = 0"),
        postgresql_where=text("NOT versioned"),
    ),
    Index(
        "ix_object_version_incident",
        "seq",
        sqlite_where=text("type = 'incident'"),
        postgresql_where=text("type = 'incident'"),
    ),
    postgresql_with={"toast_tuple_target": 8160},
)

# On whose word we hold a version. `party_id` is '' for what this node made itself; `collection_id`
# is the peer's or our own collection that it came through, '' for our own import.
source = Table(
    "source",
    metadata,
    Column("version_seq", Serial, nullable=False),
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("word", String, nullable=False),  # put | withdraw | revoke
    Column("authentic", Boolean, nullable=False),
    Column("hops", Integer, nullable=False),
    Column("first_heard", BigInteger, nullable=False),
    Column("last_heard", BigInteger, nullable=False),
    Column("creator", Bytewise),  # the version's `created_by_ref`, by which an identity's standing is found
    PrimaryKeyConstraint("version_seq", "party_id", "collection_id"),
    CheckConstraint("word IN ('put', 'withdraw', 'revoke')", name="word"),
    Index("ix_source_creator_party_id_version_seq", "creator", "party_id", "version_seq"),
    sqlite_with_rowid=False,
)

# Which version of which object names what: whom to judge again when one enters or leaves, and what is still named.
reference = Table(
    "reference",
    metadata,
    Column("version_seq", Serial, nullable=False),
    Column("target_id", Bytewise, nullable=False),
    PrimaryKeyConstraint("version_seq", "target_id"),
    Index("ix_reference_target_id", "target_id"),
    sqlite_with_rowid=False,
)

# One record of a tracker, as read, and what the mapping made of it. `source_id` is the record's own id.
record = Table(
    "record",
    metadata,
    Column("incident_id", Bytewise, primary_key=True),
    Column("owner", Bytewise, nullable=False),  # party id, '' for the node itself
    Column("source", Bytewise, nullable=False),
    Column("format", Bytewise, nullable=False),
    Column("source_id", Bytewise, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("place", String, nullable=False),  # file:line it was read from
    Column("mapping", String, nullable=False),  # name@version
    Column("translation", JSON, nullable=False),  # rules behind each value, what could not be mapped
    Column("translation_sha256", Bytewise, nullable=False),  # a new version is made only if this changes
    Column("imported", BigInteger, nullable=False),
    UniqueConstraint("owner", "source", "format", "source_id"),
)

# A person's classification; the newest counts, and no rule ever overwrites it.
assessment = Table(
    "assessment",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("incident_id", Bytewise, nullable=False, index=True),
    Column("answers", JSON, nullable=False),
    Column("by_role", String, nullable=False),
    Column("because", Text),
    Column("made", BigInteger, nullable=False),
)

# What was made together with an incident of ours (identities, relationships, observables): it is published,
# held and classified with that incident. An incident belongs to itself.
belonging = Table(
    "belonging",
    metadata,
    Column("object_id", Bytewise, nullable=False),
    Column("incident_id", Bytewise, nullable=False),
    Column("role", String, nullable=False),  # incident | victim | reporter | attacker | observable | relationship
    PrimaryKeyConstraint("object_id", "incident_id"),
    Index("ix_belonging_incident_id", "incident_id"),
    sqlite_with_rowid=False,
)

# --- what may leave ------------------------------------------------------------------------------------------

# A person's word on an incident of ours, for each object that was made with it (the incident itself is one):
# published up to a version (and further ones, with `follow`), or held; or what an automatic collection let in.
# `collection_id` is '' for all collections. No row = waiting.
publication = Table(
    "publication",
    metadata,
    Column("incident_id", Bytewise, nullable=False),
    Column("object_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("state", String, nullable=False),  # published | held | released
    Column("version_key", Bytewise),  # the newest version that this word covers; null = none yet
    Column("follow", Boolean, nullable=False),
    Column("decided", BigInteger, nullable=False),
    PrimaryKeyConstraint("object_id", "incident_id", "collection_id"),
    CheckConstraint("state IN ('published', 'held', 'released')", name="state"),
    sqlite_with_rowid=False,
)

collection = Table(
    "collection",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("key", Bytewise, nullable=False, unique=True),  # the key in tocsin.yaml, and the TAXII alias
    Column("made", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),  # the row to lock for every write to the log
    Column("standing", BigInteger, nullable=False, server_default=text("0")),  # current entries
    Column("stuck", Text),  # why new things are kept out, or null
    # positions mean something within one epoch: it is another after the log was restored from a copy
    Column("epoch", Bytewise, nullable=False, server_default=text("''")),
)

# The append-only log of what a collection's readers may see. `position` is TAXII's `date_added`.
# `current` entries are those that stand; `last` marks the newest current version of each object.
release = Table(
    "release",
    metadata,
    Column("collection_id", Bytewise, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("op", String, nullable=False),  # put | revoke | withdraw | prune
    Column("object_id", Bytewise, nullable=False),
    Column("version_key", Bytewise, nullable=False),
    Column("version_seq", Serial, nullable=False),
    Column("type", Bytewise, nullable=False),
    Column("form", String, nullable=False),  # whole | copy
    Column("size", Integer, nullable=False),  # bytes of the version: pages are limited by them
    Column("hops", Integer, nullable=False),
    Column("rules", JSON, nullable=False),  # ids of the rules that decided
    Column("configuration_sha256", Bytewise, nullable=False),
    Column("released", BigInteger, nullable=False),  # clock time: `position` only looks like one
    Column("current", Boolean, nullable=False),
    Column("last", Boolean, nullable=False),
    PrimaryKeyConstraint("collection_id", "position"),
    CheckConstraint("op IN ('put', 'revoke', 'withdraw', 'prune')", name="op"),
    CheckConstraint("form IN ('whole', 'copy')", name="form"),
    Index(
        "ix_release_last",
        "collection_id",
        "position",
        sqlite_where=text("last = 1"),
        postgresql_where=text("last"),
    ),
    Index(
        "ix_release_last_type",
        "collection_id",
        "type",
        "position",
        sqlite_where=text("last = 1"),
        postgresql_where=text("last"),
    ),
    # what stands of an object is found by its versions: an index of random ids would cost more than all others
    Index("ix_release_version_seq_collection_id", "version_seq", "collection_id"),
    # what a log no longer keeps: empty where no collection has a retention
    Index(
        "ix_release_prune",
        "collection_id",
        "object_id",
        sqlite_where=text("op = 'prune'"),
        postgresql_where=text("op = 'prune'"),
    ),
)

# Which redacted copy stands for which original in which collection: private, stored once made, never served.
copy = Table(
    "copy",
    metadata,
    Column("collection_id", Bytewise, ForeignKey("collection.id"), nullable=False),
    Column("original_id", Bytewise, nullable=False),
    Column("copy_id", Bytewise, nullable=False, unique=True),
    Column("generation", Integer, nullable=False),
    Column(
        "body_sha256", Bytewise, nullable=False
    ),  # of the visible body without dates: a new version only if it changes
    Column("omitted", JSON, nullable=False),  # what the copy leaves out, as words for people
    PrimaryKeyConstraint("collection_id", "original_id"),
)

# What a writer posted into a collection: that writer's release, which only policy judges.
posting = Table(
    "posting",
    metadata,
    Column("collection_id", Bytewise, nullable=False),
    Column("object_id", Bytewise, nullable=False),
    Column("party_id", Bytewise, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("deleted", BigInteger),  # by DELETE of the same party; posting again clears it
    PrimaryKeyConstraint("collection_id", "object_id"),
    sqlite_with_rowid=False,
)

# A TAXII status resource (TAXII 2.1 §4.3), kept at least 24 h.
status = Table(
    "status",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("requested", BigInteger, nullable=False, index=True),
    Column("body", JSON, nullable=False),
)

# Who is entitled to which log, from and up to which position.
grant = Table(
    "grant",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("party_id", Bytewise, ForeignKey("party.id"), nullable=False),
    Column("collection_id", Bytewise, ForeignKey("collection.id"), nullable=False),
    Column("role", String, nullable=False),  # reader | writer
    Column("first_position", BigInteger, nullable=False),  # the log's last position when it was given
    Column("last_position", BigInteger),  # the log's last position when it ended, or null
    Column("given", BigInteger, nullable=False),  # clock time, as evidence
    Column("ended", BigInteger),
    CheckConstraint("role IN ('reader', 'writer')", name="role"),
    Index("ix_grant_collection_id_party_id", "collection_id", "party_id"),
)

# What was really asked for, as evidence, noted within a second: the entries of a log that a party was sent.
# Asking on and on makes one row longer; `whole` is false where a filter left entries out in between.
fetch = Table(
    "fetch",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger, nullable=False),
    Index("ix_fetch_collection_id_party_id", "collection_id", "party_id"),
)

# What a node told us it did with a withdrawal (or revocation) of ours, by that entry's position.
acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("object_id", Bytewise, nullable=False),
    Column("outcome", String, nullable=False),  # purged | retained | refused
    Column("reason", Text, nullable=False),
    Column("open", Integer, nullable=False),  # of those it had passed it on to, who have not answered it yet
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("party_id", "collection_id", "position"),
    CheckConstraint("outcome IN ('purged', 'retained', 'refused')", name="outcome"),
    sqlite_with_rowid=False,
)

# What a person took back from readers, and may not come back until it is published by name. `collection_id` is ''
# for all collections.
withdrawal = Table(
    "withdrawal",
    metadata,
    Column("object_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),  # who, as the audit has it
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("object_id", "collection_id"),
    sqlite_with_rowid=False,
)

# What a person wants to happen to an incident later: it is let in, taken back, or marked with a lower TLP.
schedule = Table(
    "schedule",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("incident_id", Bytewise, nullable=False, index=True),
    Column("collection_id", Bytewise, nullable=False),  # '' for all
    Column("kind", String, nullable=False),  # publish | withdraw | downgrade
    Column("due", BigInteger, nullable=False, index=True),
    Column("details", JSON, nullable=False),
    Column("by", String, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("done", BigInteger),  # when it was carried out, or given up
    Column("outcome", Text),  # what became of it, in words
    CheckConstraint("kind IN ('publish', 'withdraw', 'downgrade')", name="kind"),
)

# The words of several persons where a collection wants more than one: each counts once, for one version.
approval = Table(
    "approval",
    metadata,
    Column("incident_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("by", Bytewise, nullable=False),
    Column("version_key", Bytewise, nullable=False),
    Column("follow", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("incident_id", "collection_id", "by"),
    sqlite_with_rowid=False,
)

# What was erased: the fact is kept, so that it neither comes back nor is looked for. `sha256` '': every version.
erasure = Table(
    "erasure",
    metadata,
    Column("object_id", Bytewise, nullable=False),
    Column("sha256", Bytewise, nullable=False),
    Column("because", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("object_id", "sha256"),
    sqlite_with_rowid=False,
)

# The seals by which each log vouches for what was written to it: a hash over the seal before and the rows from
# `first` to `last`. `log`: `release <collection id>`, `grant`, `configuration`, `audit`.
seal = Table(
    "seal",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("log", Bytewise, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("sha256", Bytewise, nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("log", "last"),
)

# --- the node itself -----------------------------------------------------------------------------------------

# Every configuration that was applied, with the text of its files; the one with the greatest seq is in force.
configuration = Table(
    "configuration",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("sha256", Bytewise, nullable=False),
    Column("files", JSON, nullable=False),
    Column("applied", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("event", Bytewise, nullable=False),
    Column("subject", Bytewise, nullable=False),  # the object, collection, party … it is about
    Column("details", JSON, nullable=False),
    Index("ix_audit_subject", "subject"),
)

# Whom nothing is given, and from whom nothing is taken, for now. `party_id` is '' for everybody.
pause = Table(
    "pause",
    metadata,
    Column("party_id", Bytewise, primary_key=True),
    Column("because", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("since", BigInteger, nullable=False),
)

# --- peers ---------------------------------------------------------------------------------------------------

# Where we stand in reading one collection of one peer. The cursor moves by compare-and-set with its page.
pull = Table(
    "pull",
    metadata,
    Column("party_id", Bytewise, ForeignKey("party.id"), nullable=False),
    Column("wanted", Bytewise, nullable=False),  # id, alias or title, as written in tocsin.yaml
    Column("collection_id", Bytewise),  # the peer's collection id, pinned at first contact
    Column("protocol", String),  # tocsin | taxii, found at first contact
    Column("cursor", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # failures in a row
    Column("due", BigInteger, nullable=False, server_default=text("0")),
    Column("last_success", BigInteger),
    Column("last_error", Text),
    Column("epoch", Bytewise),  # of the peer's log, that the cursor belongs to
    Column("skew", BigInteger),  # µs by which its clock was ahead of ours when it last answered
    Column("compared", BigInteger),  # when what it offers and what we hold were last compared
    Column("difference", Text),  # what that found, in words; null: in step
    PrimaryKeyConstraint("party_id", "wanted"),
)

# What we owe a peer: an answer to a withdrawal of its, told once it is carried out, and again if `open` changes.
owed = Table(
    "owed",
    metadata,
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),  # the peer's
    Column("position", Bytewise, nullable=False),  # in the peer's log, as it was told
    Column("object_id", Bytewise, nullable=False),
    Column("sha256", Bytewise, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("open", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("told", BigInteger),  # when the peer took it; null: it is still to be told
    PrimaryKeyConstraint("party_id", "collection_id", "position"),
    CheckConstraint("outcome IN ('purged', 'retained', 'refused')", name="outcome"),
    Index(
        "ix_owed_untold",
        "party_id",
        sqlite_where=text("told IS NULL"),
        postgresql_where=text("told IS NULL"),
    ),
    sqlite_with_rowid=False,
)

# Where we stand in adding one of our collections to one of a peer's, a foreign TAXII server.
push = Table(
    "push",
    metadata,
    Column("party_id", Bytewise, ForeignKey("party.id"), nullable=False),
    Column("collection_id", Bytewise, nullable=False),  # ours
    Column("wanted", Bytewise, nullable=False),  # theirs: id, alias or title
    Column("remote_id", Bytewise),  # theirs, pinned at first contact
    Column("cursor", BigInteger, nullable=False, server_default=text("0")),  # a position of our log
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due", BigInteger, nullable=False, server_default=text("0")),
    Column("last_success", BigInteger),
    Column("last_error", Text),
    PrimaryKeyConstraint("party_id", "collection_id", "wanted"),
)

# What became there of each version that was, or is about to be, added so: written before it is posted.
pushed = Table(
    "pushed",
    metadata,
    Column("party_id", Bytewise, nullable=False),
    Column("collection_id", Bytewise, nullable=False),  # ours
    Column("wanted", Bytewise, nullable=False),  # theirs
    Column("object_id", Bytewise, nullable=False),
    Column("version", Bytewise, nullable=False),  # as our log has it
    Column("named", Bytewise, nullable=False),  # the object's own `modified` or `created`; '' if it has neither
    Column("position", BigInteger, nullable=False),  # of the entry in our log that is meant
    Column("outcome", String, nullable=False),
    Column("reason", Text, nullable=False),  # of what was refused or stays there: their words
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("party_id", "collection_id", "wanted", "object_id", "version"),
    CheckConstraint("outcome IN ('posting', 'added', 'refused', 'deleted', 'untold')", name="outcome"),
    Index(
        "ix_pushed_kept_out",
        "party_id",
        sqlite_where=text("outcome IN ('refused', 'untold')"),
        postgresql_where=text("outcome IN ('refused', 'untold')"),
    ),
    sqlite_with_rowid=False,
)

# What a peer offered and what became of it: each object named ends in exactly one state.
ledger = Table(
    "ledger",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("party_id", Bytewise, ForeignKey("party.id"), nullable=False),
    Column("collection_id", Bytewise, nullable=False),
    Column("position", Text, nullable=False),  # where in the peer's collection
    Column("object_id", Bytewise, nullable=False),  # '' when it could not be read
    Column("version", Bytewise, nullable=False),
    Column("sha256", Bytewise, nullable=False),
    Column("outcome", String, nullable=False),  # stored | duplicate | quarantined | refused
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("content", LargeBinary),  # of a quarantined object, for a person to judge
    CheckConstraint("outcome IN ('stored', 'duplicate', 'quarantined', 'refused')", name="outcome"),
    UniqueConstraint("party_id", "collection_id", "position", "object_id", "version", "sha256"),
    Index("ix_ledger_outcome", "outcome"),
)

# Work that several processes could do: whoever holds the lease does it. A lease only saves work.
job = Table(
    "job",
    metadata,
    Column("name", Bytewise, primary_key=True),
    Column("leased_by", String),
    Column("leased_until", BigInteger),
)
