"""Reader: another node that reads a deployed one by `tocsin sync`, which a test may kill at any moment."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from history import ask
from replicas import Deployment, deployed, settings, write_files
from tocsin.settings import Home
from tocsin.store.transaction import Store

_READERS = """  beta: {kind: cert, country: LV, url: "http://192.0.2.1/taxii2/"}"""
_SETTINGS = """
node: {{name: CERT Beta, country: LV, database: "{database}"}}
peers:
  alpha:
    kind: cert
    country: EE
    url: "{url}/taxii2/"
    pull: [{{collection: a, every: 60s}}]
collections: {{}}
"""


@contextmanager
def read_by_beta(folder: Path, database: str) -> Iterator[Deployment]:
    """A node whose collections beta may read."""
    text = settings(database, readers=("rita", "tess", "beta"), peers=_READERS)
    with deployed(folder, database, 1, text=text) as node:
        node.make_tokens("beta")
        yield node


@dataclass
class Sync:
    """One `tocsin sync` while it runs. `peak`: the most memory that it was seen to have, in MiB."""

    process: "subprocess.Popen[bytes]"
    peak: float = 0.0

    async def wait(self, seconds: float = 3600.0) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "tocsin sync does not end"
            self.look()
            await asyncio.sleep(0.02)
        return self.process.returncode

    def look(self) -> None:
        self.peak = max(self.peak, own_memory(self.process.pid))

    def kill(self) -> None:
        self.look()
        self.process.kill()
        self.process.wait()


@dataclass
class Beta:
    """The home of the node that reads."""

    home: Home
    database: str
    log: Path
    syncs: list[Sync] = field(default_factory=list)

    @classmethod
    async def make(cls, folder: Path, database: str, source: Deployment) -> "Beta":
        home = Home(folder / "home")
        write_files(home, _SETTINGS.format(database=database, url=source.addresses[0]))
        home.write_secret("namespace", os.urandom(32).hex())
        home.write_secret("peers/alpha", source.tokens["beta"])
        await Store.create(database)
        beta = cls(home, database, folder / "log")
        assert await Sync(beta._run("apply", "--yes")).wait() == 0, beta.log.read_text()
        return beta

    def sync(self) -> Sync:
        self.syncs.append(Sync(self._run("sync")))
        return self.syncs[-1]

    async def progress(self) -> int:
        """The number of the last version that was stored: how far it is, for nothing but that."""
        ((last,),) = await ask(self.database, "SELECT max(seq) FROM object_version")
        return last or 0

    @property
    def peak(self) -> float:
        return max(sync.peak for sync in self.syncs)

    def end(self) -> None:
        for sync in self.syncs:
            if sync.process.poll() is None:
                sync.kill()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()[-5000:]

    def _run(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tocsin.cli", *words, "--home", str(self.home.path)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def own_memory(pid: int) -> float:
    """What a process has of its own now, in MiB, without the files that it looks at; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), 0.0)


@dataclass
class Peak:
    """The most memory that the process of a node has had since this began to look, restarts or not."""

    memory: float = 0.0

    async def watch(self, node: Deployment) -> None:
        while True:
            process = node.replicas[0].process
            if process is not None:
                self.memory = max(self.memory, own_memory(process.pid))
            await asyncio.sleep(0.05)


@asynccontextmanager
async def memory_of(node: Deployment) -> AsyncIterator[Peak]:
    peak = Peak()
    watching = asyncio.create_task(peak.watch(node))
    try:
        yield peak
    finally:
        watching.cancel()


async def offered(node: Deployment) -> tuple[int, str]:
    """How many versions stand in collection `a`, and the hash of all of them together."""
    return _together(
        await ask(
            node.database,
            "SELECT v.id, v.version, v.sha256 FROM release r JOIN object_version v ON v.seq = r.version_seq "
            "JOIN collection c ON c.id = r.collection_id WHERE c.key = 'a' AND r.current AND r.op = 'put'",
        )
    )


async def held(beta: Beta) -> tuple[int, str]:
    """The same of what beta holds on the word of others."""
    return _together(
        await ask(
            beta.database,
            "SELECT v.id, v.version, v.sha256 FROM object_version v JOIN source s ON s.version_seq = v.seq "
            "WHERE s.party_id <> '' AND s.word = 'put' AND v.raw IS NOT NULL",
        )
    )


def _together(rows: list[tuple[str, str, str]]) -> tuple[int, str]:
    digest = sha256()
    for row in sorted(rows):
        digest.update(" ".join(row).encode() + b"\n")
    return len(rows), digest.hexdigest()
