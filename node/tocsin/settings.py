"""Settings: what the operator wrote in `tocsin.yaml`, and where a home keeps its files.

The file is the proposal; what is in force is kept in the database (`policy.configuration` reads it from text,
so the same code reads a file and an applied configuration).
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tocsin.documents import Document, Strict, nearest, parse
from tocsin.errors import BadFile, BadInput, NotFound, Problem

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
_UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
_DURATION = re.compile(r"^(\d{1,6})(s|m|h|d)$")
NAMESPACE_BYTES = 32  # of the secret that ids are made with
_NAMESPACE = re.compile(rf"^[0-9a-fA-F]{{{2 * NAMESPACE_BYTES}}}$")
OTHERS = 0o077  # bits of a mode: of whom but the owner may do anything with a file
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d{1,6}) (KiB|MiB)$")
_BYTES = {"KiB": 1024, "MiB": 1024 * 1024}

TlpWord = Literal["clear", "green", "amber", "amber+strict", "red"]
Role = Literal["analyst", "publisher", "operator", "auditor"]
# What a reader gets where a page has no object: TAXII 2.1 omits the empty list (§2, §5.4: `{}`), but some clients
# (Elastic) read `objects` without looking whether it is there, and others (MISP) take an empty list for an error.
EmptyPage = Literal["omit", "list"]


def _name(text: str) -> str:
    if not NAME.match(text):
        raise ValueError("lower-case letters, digits, '.', '_' and '-', starting with a letter or digit")
    return text


def _country(text: str) -> str:
    if not re.match(r"^[A-Z]{2}$", text):
        raise ValueError("two capital letters (ISO 3166-1), such as EE")
    return text


def _seconds(given: object) -> object:
    match = _DURATION.match(given) if isinstance(given, str) else None
    if not match:
        raise ValueError("a duration such as 60s, 5m, 2h or 1d")
    return int(match[1]) * _SECONDS[match[2]]


def _size(given: object) -> object:
    match = _SIZE.match(given) if isinstance(given, str) else None
    if match:
        return int(match[1]) * _BYTES[match[2]]
    if not isinstance(given, int):
        raise ValueError("a size such as 512 KiB, 8 MiB, or a number of bytes")
    return given


def _up_to(most: int, said: str = "") -> AfterValidator:
    """A limit: what the node was made for and tested with, or less."""

    def check(given: int) -> int:
        if not 1 <= given <= most:
            raise ValueError(f"from 1 to {said or most}: a limit can only be lowered")
        return given

    return AfterValidator(check)


def _sector(text: str) -> str:
    if not re.match(r"^(naics:\d{2,6}|nis2:[a-z0-9-]+(/[a-z0-9-]+)?)$", text):
        raise ValueError("a sector such as naics:52 or nis2:energy")
    return text


Sector = Annotated[str, AfterValidator(_sector)]
Name = Annotated[str, AfterValidator(_name)]
Country = Annotated[str, AfterValidator(_country)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Size = Annotated[int, BeforeValidator(_size)]


class NodeSettings(Strict):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    country: Country | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    timezone: str = "UTC"
    database: str = "sqlite"
    default_tlp: TlpWord | None = None
    max_hops: Annotated[int, Field(ge=1, le=3)] = 3


class PartySettings(Strict):
    """What we say of a reader: the only place from which rules learn it; and in which form he is answered."""

    country: Country | None = None
    sectors: tuple[Sector, ...] = Field(default=(), strict=False)
    communities: tuple[str, ...] = Field(default=(), strict=False)
    contact: Annotated[str, Field(min_length=1, max_length=500)] | None = None  # for our people: whom to write to
    empty_page: EmptyPage = "omit"
    was: Name | None = None


class AccountSettings(PartySettings):
    """A subscriber has a kind, a person a role."""

    kind: Name | None = None
    role: Role | None = None

    @model_validator(mode="after")
    def _kind_or_role(self) -> "AccountSettings":
        if (self.kind is None) == (self.role is None):
            raise ValueError("give either 'kind' (a subscriber) or 'role' (a person)")
        return self


class PullSettings(Strict):
    """One collection of a peer that we read: by id, alias or title; the id is pinned at first contact."""

    collection: Annotated[str, Field(min_length=1)]
    every: Seconds = 60


class PushSettings(Strict):
    """One collection of ours that we add to one of a peer's: theirs by id, alias or title, pinned like `pull`."""

    collection: Name
    to: Annotated[str, Field(min_length=1)]
    every: Seconds = 60


class PeerSettings(PartySettings):
    kind: Name = "peer"
    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    auth: Literal["basic", "bearer", "api-key", "certificate"] = "bearer"
    user: str | None = None
    pull: tuple[PullSettings, ...] = Field(default=(), strict=False)
    push: tuple[PushSettings, ...] = Field(default=(), strict=False)


class CollectionSettings(Strict):
    """One collection. With `direct` it is for one reader, and holds what a person shared with him by name.

    `approvals`: how many persons must publish the same version before it enters. `retention`: how long it keeps
    what was released; for ever, if not given.
    """

    id: str | None = None
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: str | None = None
    readers: tuple[Name, ...] = Field(default=(), strict=False)
    writers: tuple[Name, ...] = Field(default=(), strict=False)
    clearance: TlpWord = "amber"
    unmarked: TlpWord = "amber+strict"
    release: Literal["by-hand", "automatic"] = "by-hand"
    approvals: Annotated[int, Field(ge=1, le=5)] = 1
    retention: Annotated[Seconds, Field(ge=1)] | None = None
    direct: bool = False
    policy: Name = ""
    was: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _holds_anything(cls, given: Any) -> Any:
        """Who shares by hand with one named recipient may share what is red."""
        return {"clearance": "red", **given} if isinstance(given, dict) and given.get("direct") is True else given

    @model_validator(mode="after")
    def _direct(self) -> "CollectionSettings":
        if not self.direct:
            if not self.policy:
                raise ValueError("which policy? policies/NAME.yaml")
            return self
        if len(set(self.readers)) != 1:
            raise ValueError("a direct collection is for one reader")
        if self.writers or self.release != "by-hand" or self.policy:
            raise ValueError("a direct collection is filled by hand alone: no writers, release or policy")
        return self

    @model_validator(mode="after")
    def _approved_by_hand(self) -> "CollectionSettings":
        if self.approvals > 1 and self.release == "automatic":
            raise ValueError("approvals are given by persons: release: automatic asks nobody")
        if self.approvals > 1 and self.direct:
            raise ValueError("a direct collection is filled by the one person who shares: it takes no approvals")
        return self

    @model_validator(mode="after")
    def _uuid(self) -> "CollectionSettings":
        if self.id is not None and not _UUID4.match(self.id):
            raise ValueError(f"id {self.id!r} is not a UUID version 4 in lower case")
        return self


class LimitSettings(Strict):
    """What the node takes at most: bytes, objects, levels, seconds, requests. Each can only be lowered.

    The first five hold from the moment of `apply`; those of one object (`object`, `depth`, `string`) also for what
    peers offer. `deadline` and `answer` hold from the next pull, `header`, `request` and `requests` from a start.
    """

    body: Annotated[Size, _up_to(10 * 1024 * 1024, "10 MiB")] = 10 * 1024 * 1024  # told as `max_content_length`
    objects: Annotated[int, _up_to(1000)] = 1000  # of one envelope
    object: Annotated[Size, _up_to(1024 * 1024, "1 MiB")] = 1024 * 1024
    depth: Annotated[int, _up_to(32)] = 32  # levels of nesting of one object
    string: Annotated[Size, _up_to(256 * 1024, "256 KiB")] = 256 * 1024
    header: Annotated[Seconds, _up_to(10, "10s")] = 10  # until the head of a request has come
    request: Annotated[Seconds, _up_to(60, "60s")] = 60  # until its body has come, and to take its answer
    requests: Annotated[int, _up_to(16)] = 16  # in work at a time for one account or peer
    deadline: Annotated[Seconds, _up_to(120, "120s")] = 120  # until a peer has answered
    answer: Annotated[Size, _up_to(20 * 1024 * 1024, "20 MiB")] = 20 * 1024 * 1024  # of a peer, decoded


class Settings(Strict):
    """The whole of `tocsin.yaml`."""

    node: NodeSettings
    limits: LimitSettings = Field(default_factory=LimitSettings)
    accounts: Mapping[Name, AccountSettings] = Field(default_factory=dict)
    peers: Mapping[Name, PeerSettings] = Field(default_factory=dict)
    collections: Mapping[Name, CollectionSettings] = Field(default_factory=dict)

    def party(self, name: str) -> PartySettings | None:
        """An account or peer by name: the two share one space of names."""
        return self.accounts.get(name) or self.peers.get(name)


def read_settings(document: Document) -> Settings:
    """`tocsin.yaml` as settings. Raises BadFile with the line of each fault, all of them at once."""
    settings = parse(Settings, document)
    problems = [*_doubled_names(settings, document), *_unknown_parties(settings, document)]
    problems += [*_ambiguous_collections(settings, document), *_wrong_pushes(settings, document)]
    if problems:
        raise BadFile(problems)
    return settings


def _doubled_names(settings: Settings, document: Document) -> list[Problem]:
    return [
        document.problem(("peers", name), f"{name!r} is already the name of an account")
        for name in settings.peers
        if name in settings.accounts
    ]


def _ambiguous_collections(settings: Settings, document: Document) -> Iterator[Problem]:
    """Readers find a collection by id, by its key (TAXII's alias, §5.2.1) and, some, by its title."""
    names: dict[tuple[str, str], str] = {}
    for key, collection in settings.collections.items():
        for field in ("title", "id"):
            given = getattr(collection, field)
            if given is not None and (other := names.setdefault((field, given), key)) != key:
                text = f"{field} {given!r} is already that of collection {other!r}"
                yield document.problem(("collections", key, field), text)
    for key in settings.collections:
        if (other := names.get(("id", key), key)) != key:
            yield document.problem(("collections", key), f"{key!r} is the id of collection {other!r}")


def _unknown_parties(settings: Settings, document: Document) -> list[Problem]:
    problems = []
    for key, collection in settings.collections.items():
        for field in ("readers", "writers"):
            for index, name in enumerate(getattr(collection, field)):
                if settings.party(name) is None:
                    path = ("collections", key, field, index)
                    problems.append(document.problem(path, f"{name!r} is neither an account nor a peer"))
    return problems


def _wrong_pushes(settings: Settings, document: Document) -> Iterator[Problem]:
    """A push gives a peer what it may read anyway, and its collection there has one log that can take back."""
    for name, peer in settings.peers.items():
        targets: dict[str, str] = {}
        for index, push in enumerate(peer.push):
            path, ours = ("peers", name, "push", index), settings.collections.get(push.collection)
            if ours is None:
                near = nearest(push.collection, settings.collections)
                yield document.problem((*path, "collection"), f"no collection {push.collection!r}{near}")
            elif name not in ours.readers:
                text = f"{name!r} is no reader of {push.collection!r}: only what a reader may see is pushed to it"
                yield document.problem((*path, "collection"), text)
            if (other := targets.setdefault(push.to, push.collection)) != push.collection:
                text = f"{other!r} is pushed into {push.to!r} already: only one log can take back what it added"
                yield document.problem((*path, "to"), text)
            elif [(one.collection, one.to) for one in peer.push[:index]].count((push.collection, push.to)):
                yield document.problem(path, f"{push.collection!r} is pushed into {push.to!r} already")


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that holds one node: configuration, policies, own mappings, keys, and SQLite's file."""

    path: Path

    @property
    def settings_file(self) -> Path:
        return self.path / "tocsin.yaml"

    @property
    def policies(self) -> Path:
        return self.path / "policies"

    @property
    def mappings(self) -> Path:
        return self.path / "mappings"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def database_file(self) -> Path:
        return self.path / "tocsin.db"

    def configuration_files(self) -> dict[str, str]:
        """The texts that make up a configuration, by their name in the home: `tocsin.yaml`, `policies/*.yaml`."""
        if not self.settings_file.is_file():
            raise NotFound(f"{self.path} is not a home of Tocsin: no tocsin.yaml (run: tocsin init)")
        files = {"tocsin.yaml": _text(self.settings_file)}
        for file in sorted(self.policies.glob("*.yaml")):
            files[f"policies/{file.name}"] = _text(file)
        return files

    def write_settings(self, text: str) -> None:
        """Put another text in place of `tocsin.yaml` at once: who reads meanwhile finds the old or the new one.

        Its mode stays, and its owner where root writes: the node must still be able to read it.
        """
        file = self.settings_file.resolve()
        before = file.stat()
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                if os.geteuid() == 0:
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                stream.write(text)
                stream.flush()
                os.fsync(descriptor)
            _put(draft, file)
        finally:
            draft.unlink(missing_ok=True)

    def database_url(self, settings: NodeSettings) -> str:
        """The address of the database: `sqlite` stands for the file in the home."""
        return f"sqlite:///{self.database_file}" if settings.database == "sqlite" else settings.database

    def namespace(self) -> bytes:
        """The secret of this node's ids, made at `init`, in every backup. Raises BadFile for another."""
        secret = self.read_secret("namespace")
        if not _NAMESPACE.match(secret):
            raise _bad_secret(
                self.keys / "namespace",
                f"is not the secret that init made ({2 * NAMESPACE_BYTES} hex digits): "
                "restore it from a backup; ids are made with it",
            )
        return bytes.fromhex(secret)

    def read_secret(self, name: str) -> str:
        """A key file. Raises BadFile when others may read it or we cannot, NotFound when it is missing."""
        file = self.keys / name
        try:
            mode = file.stat().st_mode & 0o777
            if mode & OTHERS:
                raise _bad_secret(file, f"mode {mode:o}: others can read this secret (chmod 600 {file})")
            secret = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError as why:
            raise NotFound(f"no key file {file}{_how_to_get_back(name)}") from why
        except OSError as why:
            said = (why.strerror or "unknown").lower()
            raise _bad_secret(
                file, f"cannot be read ({said}): give it to whom the node runs as, mode 600"
            ) from why
        except UnicodeDecodeError as why:
            raise _bad_secret(file, f"is not text{_how_to_get_back(name) or ': write it anew'}") from why
        if not secret:
            raise _bad_secret(file, f"is empty{_how_to_get_back(name) or ': write it anew'}")
        return secret

    def write_secret(self, name: str, secret: str) -> Path:
        """Write a key file, mode 600 from its first byte."""
        file = self.keys / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(secret + "\n")
            stream.flush()
            os.fsync(descriptor)
        _put(draft, file)
        return file


def _put(draft: Path, file: Path) -> None:
    """Put a file in place of another, so that a power cut leaves one of the two, and from here on this one."""
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bad_secret(file: Path, text: str) -> BadFile:
    return BadFile([Problem(str(file), text)])


def _how_to_get_back(name: str) -> str:
    """What to do about a key file that is no good: the secret of our ids exists nowhere else."""
    if name == "namespace":
        return ": restore it from a backup; ids are made with it"
    peer = name.removeprefix("peers/")
    return f": run tocsin peer credential {peer}" if peer != name and "." not in peer else ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        said = why.strerror if isinstance(why, OSError) else f"is not UTF-8 at byte {why.start}"
        raise BadFile([Problem(str(file), f"cannot be read: {said}")]) from why


def find_home(given: str | None, environment: Mapping[str, str]) -> Home:
    """`--home`, else `TOCSIN_HOME`, else the current folder when it holds a `tocsin.yaml`."""
    if named := given or environment.get("TOCSIN_HOME"):
        return Home(Path(named).expanduser().resolve())
    here = Path.cwd()
    if (here / "tocsin.yaml").is_file():
        return Home(here)
    raise BadInput("which home? Give --home DIR, set TOCSIN_HOME, or stand in a folder with a tocsin.yaml")
