"""Living: `tocsin serve` in a process of its own, which must be the same one afterwards, and unharmed."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from wire import HANG

from taxii_node import NAMESPACE, POLICY, REGIONAL, SETTINGS, TAXII
from tocsin.settings import Home
from tocsin.store import accounts, parties
from tocsin.store.transaction import Store

MB = 1024 * 1024


@dataclass
class LivingNode:
    """A node as its operator runs it. What `wire` needs of a node is here as well."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    tokens: dict[str, str]
    http: httpx2.AsyncClient
    peak: int = field(default=0)

    def collection_url(self) -> str:
        return f"{self.url}/exchange/collections/{REGIONAL}/"

    async def get(self, path: str, *, by: str = "rita", method: str = "GET", **more) -> httpx2.Response:
        headers = {"X-API-Key": self.tokens[by]} | more.pop("headers", {})
        url = f"{self.url}{path}" if path.startswith("/") else f"{self.collection_url()}{path}"
        return await asyncio.wait_for(self.http.request(method, url, headers=headers, **more), 3 * HANG)

    async def post(self, body: bytes, *, by: str = "walt") -> httpx2.Response:
        headers = {"Content-Type": TAXII}
        return await self.get("objects/", by=by, method="POST", headers=headers, content=body)

    def anonymous(self) -> int:
        """Bytes of memory of its own that the process has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """`peak` is how much more memory it had, at some moment within, than at the beginning."""
        before, self.peak = self.anonymous(), 0

        async def look():
            while True:
                self.peak = max(self.peak, self.anonymous() - before)
                await asyncio.sleep(0.01)

        looking = asyncio.ensure_future(look())
        try:
            yield
        finally:
            looking.cancel()

    def assert_unharmed(self) -> None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        said = self.log.read_text()
        assert not re.search(r"Traceback| ERROR ", said), said[-3000:]


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[LivingNode]:
    """A process that serves the collections of `taxii_node` from an SQLite file, and is unharmed at the end."""
    database = f"sqlite:///{folder / 'node.db'}"
    home = Home(folder / "home")
    home.policies.mkdir(parents=True)
    home.settings_file.write_text(SETTINGS.replace("country: EE}", f'country: EE, database: "{database}"}}', 1))
    (home.policies / "open.yaml").write_text(POLICY)
    home.write_secret("namespace", NAMESPACE)
    log = folder / "serve.log"
    process = _start(home, log)
    try:
        url = await asyncio.to_thread(_address, process, log)
        tokens = await _tokens(database)
        async with httpx2.AsyncClient(timeout=3 * HANG, trust_env=False) as http:
            node = LivingNode(url, process, log, tokens, http)
            yield node
            assert (await node.get("objects/")).status_code == 200
            node.assert_unharmed()
    finally:
        process.kill()
        process.wait()


def _start(home: Home, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", "--home", str(home.path)],
            stdout=out,
            stderr=out,
            env={**{k: v for k, v in os.environ.items() if k != "TOCSIN_HOME"}, "PYTHONUNBUFFERED": "1"},
        )


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(int(3 * HANG / 0.05)):
        if found := re.search(r"listens on (http://\S+) ", log.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"it did not start:\n{log.read_text()}")


async def _tokens(database: str) -> dict[str, str]:
    store = await Store.open(database)
    try:
        async with store.writing() as tx:
            now = await tx.now()
            known = {name: await parties.party_by_name(tx, name) for name in ("rita", "walt", "pia", "nora")}
            return {name: await accounts.make_token(tx, party.id, now) for name, party in known.items()}
    finally:
        await store.close()
