"""Configuration: settings and policies together, read from texts: a proposal, or what is in force.

Pure: the same code reads the files of a home and the texts that an earlier `apply` kept in the database.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tocsin.documents import Document, nearest, read_document
from tocsin.errors import BadFile, BadInput, NotFound, Problem
from tocsin.policy.attributes import ANY_ORIGIN, OURS, Provenance
from tocsin.policy.decide import decide
from tocsin.policy.decision import Copy, Decision, Deny, Stuck, Whole
from tocsin.policy.rules import Expect, Policy, PolicyTest, Reader, Rule, read_policy
from tocsin.settings import (
    AccountSettings,
    CollectionSettings,
    PartySettings,
    PeerSettings,
    Settings,
    read_settings,
)
from tocsin.stix.canonical import Limits
from tocsin.stix.objects import ObjectVersion, read_object

__all__ = ["Configuration", "Reader", "read_configuration", "run_policy_tests"]

SETTINGS_FILE = "tocsin.yaml"
_POLICIES = "policies"


# Of a direct collection: what enters there is what a person shares by name, and nothing keeps it out but markings
# above its clearance.
DIRECT = Policy(
    "(direct)",
    (
        Rule(
            id="shared",
            match={"origin": (ANY_ORIGIN,)},
            when=None,
            then="allow",
            redact=frozenset(),
            keep=frozenset(),
            reason="a person shared it with this reader by name",
            places={},
            reader_attributes=frozenset(),
            depends_on_readers=False,
            asks_for=frozenset(),
            looks_inside=False,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that is in force together. `sha256` names it: over the names and texts of `files`, in order of name."""

    sha256: str
    files: Mapping[str, str] = field(repr=False)
    settings: Settings
    policies: Mapping[str, Policy]

    @property
    def limits(self) -> Limits:
        """What one body and one object may measure here."""
        given = self.settings.limits
        return Limits(given.body, given.objects, given.object, given.depth, given.string)

    def policy_of(self, collection_key: str) -> Policy:
        collection = self.settings.collections[collection_key]
        return DIRECT if collection.direct else self.policies[collection.policy]

    def readers(self, collection_key: str) -> tuple[Reader, ...]:
        """The readers of a collection, each once, in the order of the file."""
        names = dict.fromkeys(self.settings.collections[collection_key].readers)
        return tuple(_reader(self.settings, name) for name in names)

    def can_read(self, party_name: str, collection_key: str) -> bool:
        """Whether the file offers the collection to this account or peer. What does not exist is not offered."""
        collection = self.settings.collections.get(collection_key)
        return collection is not None and party_name in collection.readers

    def can_write(self, party_name: str, collection_key: str) -> bool:
        """Whether this account or peer may add to the collection."""
        collection = self.settings.collections.get(collection_key)
        return collection is not None and party_name in collection.writers


def read_configuration(files: Mapping[str, str]) -> Configuration:
    """The configuration that these texts make, by their names in a home: `tocsin.yaml`, `policies/NAME.yaml`.

    Raises BadFile with all that is wrong in any of them, each with file:line.
    """
    problems: list[Problem] = []
    document: Document | None = None
    settings: Settings | None = None
    try:
        document = read_document(_text_of_settings(files), SETTINGS_FILE)
        settings = read_settings(document)
    except BadFile as why:
        problems += why.problems
    policies: dict[str, Policy] = {}
    unreadable: set[str] = set()
    for file, name in _policy_files(files):
        try:
            policies[name] = read_policy(read_document(files[file], file), name)
        except BadFile as why:
            problems += why.problems
            unreadable.add(name)
    if settings is not None and document is not None:
        problems += _reserved_names(settings, document)
        problems += _missing_policies(settings, document, {*policies, *unreadable})
        problems += _unknown_parties(settings, policies)
        problems += _unknown_readers(settings, document, policies)
    if problems or settings is None:
        raise BadFile(problems)
    return Configuration(_hash(files), dict(files), settings, policies)


def _text_of_settings(files: Mapping[str, str]) -> str:
    if SETTINGS_FILE not in files:
        raise BadFile([Problem(SETTINGS_FILE, "is missing")])
    return files[SETTINGS_FILE]


def _policy_files(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for file in sorted(files):
        path = PurePosixPath(file)
        if path.parent == PurePosixPath(_POLICIES) and path.suffix == ".yaml":
            yield file, path.stem


def _hash(files: Mapping[str, str]) -> str:
    """SHA-256 over sorted names and texts, each behind its length, so that no two sets of files read alike."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _reader(settings: Settings, name: str) -> Reader:
    party = settings.party(name)
    if party is None:  # `read_settings` refuses it
        raise NotFound(f"{name!r} is neither an account nor a peer")
    # a list that was written, be it empty, is an answer; one that was not is none
    return Reader(
        name=name,
        kind=_kind(party),
        country=party.country,
        sectors=party.sectors if "sectors" in party.model_fields_set else None,
        communities=party.communities if "communities" in party.model_fields_set else None,
    )


def _kind(party: PartySettings) -> str:
    match party:
        case AccountSettings(kind=str(kind)) | PeerSettings(kind=kind):
            return kind
        case _:
            return "person"


# --- what can be wrong between files -------------------------------------------------------------------------


def _reserved_names(settings: Settings, document: Document) -> Iterator[Problem]:
    for kind, names in (("accounts", settings.accounts), ("peers", settings.peers)):
        for name in names:
            if name in (OURS, ANY_ORIGIN):
                yield document.problem((kind, name), f"{name!r} has a meaning of its own in rules: another name")


def _missing_policies(settings: Settings, document: Document, known: set[str]) -> Iterator[Problem]:
    for key, collection in settings.collections.items():
        name = collection.policy
        if not collection.direct and name not in known:
            text = f"there is no {_POLICIES}/{name}.yaml{nearest(name, known)}"
            yield document.problem(("collections", key, "policy"), text)


def _unknown_parties(settings: Settings, policies: Mapping[str, Policy]) -> Iterator[Problem]:
    """Names of accounts and peers that rules and tests use, but nobody has."""
    parties = [*settings.accounts, *settings.peers]
    for policy in policies.values():
        for rule in policy.rules:
            yield from _unknown_words(rule, "origin", [*parties, OURS, ANY_ORIGIN])
            yield from _unknown_words(rule, "owner", parties)
        for test in policy.tests:
            yield from _unknown_in_test(settings, test, parties)


def _unknown_words(rule: Rule, key: str, known: list[str]) -> Iterator[Problem]:
    wanted = rule.match.get(key)
    for word in wanted if isinstance(wanted, tuple) else ():
        if word not in known:
            text = f"{key}: {word!r} is neither an account nor a peer{nearest(word, known)}"
            yield Problem(rule.places[key], text)


def _unknown_in_test(settings: Settings, test: PolicyTest, parties: list[str]) -> Iterator[Problem]:
    for name in test.readers:
        if name not in parties:
            yield Problem(test.place, f"reader {name!r} is neither an account nor a peer{nearest(name, parties)}")
    if test.origin not in (OURS, *parties):
        text = f"origin {test.origin!r} is neither 'ours' nor an account or peer{nearest(test.origin, parties)}"
        yield Problem(test.place, text)
    if test.collection is not None and test.collection not in settings.collections:
        known = nearest(test.collection, settings.collections)
        yield Problem(test.place, f"there is no collection {test.collection!r}{known}")


def _unknown_readers(settings: Settings, document: Document, policies: Mapping[str, Policy]) -> Iterator[Problem]:
    """A rule that asks about readers is only as good as our word on each of them."""
    said: set[tuple[str, str, str]] = set()
    for key, collection in settings.collections.items():
        policy = policies.get(collection.policy)
        for rule in policy.rules if policy is not None else ():
            if rule.depends_on_readers and not collection.readers:
                yield _without_readers(document, key, collection, rule)
            for name, asked in _lacking(settings, collection, rule):
                if (key, name, asked) not in said:
                    said.add((key, name, asked))
                    kind = "accounts" if name in settings.accounts else "peers"
                    text = f"{name!r} reads {key!r}, where {rule.id!r} ({rule.places['']}) asks for its {asked}"
                    yield document.problem((kind, name), text)


def _lacking(settings: Settings, collection: CollectionSettings, rule: Rule) -> Iterator[tuple[str, str]]:
    """The readers of whom we do not say what the rule asks, each with what is missing."""
    for name in dict.fromkeys(collection.readers):
        reader = _reader(settings, name)
        for asked in sorted(rule.reader_attributes):
            if getattr(reader, asked) is None:
                yield name, asked


def _without_readers(document: Document, key: str, collection: CollectionSettings, rule: Rule) -> Problem:
    text = f"{key!r} has no readers, but rule {rule.id!r} of policy {collection.policy!r} asks about them"
    return document.problem(("collections", key, "policy"), text)


# --- the tests of policies -----------------------------------------------------------------------------------


def run_policy_tests(configuration: Configuration, read_file: Callable[[str], bytes]) -> list[Problem]:
    """Judge the `tests:` of every policy; what does not come out as expected, each at its line.

    A test is judged in the collection that it names, else in each one that the policy governs, with the readers
    that it names. `read_file` gives the bytes behind `object:`; what it raises as TocsinError becomes a problem.
    """
    problems = []
    for policy in configuration.policies.values():
        for test in policy.tests:
            try:
                version = _example(read_file, test)
            except (BadInput, NotFound) as why:
                problems.append(Problem(test.place, f"{test.object}: {why}"))
                continue
            problems += _run(configuration, policy, test, version)
    return problems


def _example(read_file: Callable[[str], bytes], test: PolicyTest) -> ObjectVersion:
    version = read_object(read_file(test.object))
    if version.type == "bundle":
        raise BadInput("is a bundle; a test judges one object")
    return version


def _run(
    configuration: Configuration, policy: Policy, test: PolicyTest, version: ObjectVersion
) -> Iterator[Problem]:
    settings = configuration.settings
    readers = tuple(_reader(settings, name) for name in test.readers)
    provenance = Provenance(
        origin=test.origin,
        posted_here=test.posted_here,
        owner=test.owner,
        authentic=test.authentic,
        reviewed=test.reviewed,
    )
    for key, collection in _courts(settings, policy, test).items():
        decision = decide(policy, collection, version.value, provenance, readers)
        if fault := _fault(test, decision):
            yield Problem(test.place, f"{test.object} in {key!r}: {fault}" if key else f"{test.object}: {fault}")


def _courts(settings: Settings, policy: Policy, test: PolicyTest) -> Mapping[str, CollectionSettings]:
    if test.collection is not None:
        return {test.collection: settings.collections[test.collection]}
    governed = {key: found for key, found in settings.collections.items() if found.policy == policy.name}
    return governed or {"": CollectionSettings(title=policy.name, policy=policy.name)}


def _fault(test: PolicyTest, decision: Decision) -> str | None:
    """How a decision differs from what the test expects, in a sentence; None when it does not."""
    reasons = "; ".join(f"{reason.rule}: {reason.text}" for reason in decision.reasons)
    found: Expect | None
    match decision:
        case Stuck():
            return f"cannot be judged: {reasons}"
        case Whole():
            found = "whole"
        case Copy():
            found = "redact"
        case Deny():
            found = "deny"
    if found != test.expect:
        return f"expected {test.expect}, but it is {found} ({reasons})"
    if test.rule is not None and test.rule not in {reason.rule for reason in decision.reasons}:
        return f"it is {found} as expected, but not by rule {test.rule!r} ({reasons})"
    return None
