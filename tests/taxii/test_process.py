"""TAXII 2.1 as a process speaks it: `tocsin serve` on a database of either kind, from discovery to its last page.

What the sections say one by one is tested with the app in the tests' own process; here is what only the real one
can show: that it starts from its files alone, what stands on every answer, and what outlives it.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from postgresql_server import NoPostgresql, start
from reading import ids
from taxii_node import NAMESPACE, POLICY, REGIONAL, SETTINGS, TAXII, indicator
from taxii_tables import faults
from tocsin.settings import Home
from tocsin.store import accounts, parties
from tocsin.store.transaction import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """An empty database; of PostgreSQL a server that writes durably, since the process refuses any other."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'node.db'}"
        return
    try:
        server = start(())
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    try:
        yield server.url()
    finally:
        server.stop()


@pytest.fixture
def home(tmp_path, database):
    """Files alone: the process itself makes the tables and brings the files into force."""
    made = Home(tmp_path / "home")
    made.policies.mkdir(parents=True)
    settings = SETTINGS.replace("country: EE}", f'country: EE, database: "{database}"}}', 1)
    made.settings_file.write_text(settings)
    (made.policies / "open.yaml").write_text(POLICY)
    made.write_secret("namespace", NAMESPACE)
    return made


@contextmanager
def process(home: Home) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`tocsin serve` on a free port: its address, and the process, which is gone afterwards."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", "--home", str(home.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TOCSIN_HOME"},
    )
    said = ""
    try:
        for line in running.stdout or ():
            said += line
            if found := re.search(r"listens on (http://\S+) ", line):
                yield found[1], running
                return
        pytest.fail(f"it did not start:\n{said}")
    finally:
        running.kill()
        running.communicate()


async def token_of(database: str, name: str) -> str:
    """A token as `tocsin account token` makes it, beside the running process."""
    store = await Store.open(database, require_durable=False)
    try:
        async with store.writing() as tx:
            party = await parties.party_by_name(tx, name)
            return await accounts.make_token(tx, party.id, await tx.now())
    finally:
        await store.close()


@asynccontextmanager
async def client(address: str, token: str) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}", "Accept": TAXII}
    async with httpx2.AsyncClient(base_url=address, headers=headers) as made:
        yield made


async def test_a_client_finds_everything_from_discovery_on_and_each_answer_is_complete(home, database):
    with process(home) as (address, _):
        async with client(address, await token_of(database, "walt")) as http:
            answers = []

            async def ask(kind, path, method="GET", **more):
                answer = await http.request(method, path, **more)
                answers.append(answer)
                assert faults(kind, answer.json()) == [], path
                return answer.json()

            (root,) = (await ask("discovery", "/taxii2/"))["api_roots"]
            assert (await ask("api-root", root))["versions"] == [TAXII]
            collections = (await ask("collections", f"{root}collections/"))["collections"]
            here = f"{root}collections/{collections[0]['id']}/"
            assert await ask("collection", here) == collections[0]
            body = {"objects": [indicator(1), indicator(2), {}]}
            posted = await ask("status", f"{here}objects/", "POST", json=body, headers={"Content-Type": TAXII})
            assert (posted["success_count"], posted["failure_count"]) == (2, 1)
            assert await ask("status", f"{root}status/{posted['id']}/") == posted
            manifest = await ask("manifest", f"{here}manifest/")
            assert (await ask("envelope", f"{here}objects/"))["objects"] == [indicator(1), indicator(2)]
            one = f"{here}objects/{manifest['objects'][0]['id']}/"
            assert (await ask("envelope", one))["objects"] == [indicator(1)]
            assert (await ask("versions", f"{one}versions/"))["versions"] == [indicator(1)["modified"]]
            answers.append(await http.delete(one))
            await ask("error", one)
    assert [answer.status_code for answer in answers] == [200] * 4 + [202] + [200] * 6 + [404]
    for answer in answers:
        assert answer.headers["Content-Type"] == TAXII
        assert parsedate_to_datetime(answer.headers["Date"]).tzinfo is not None  # RFC 9110 §6.6.1
        assert len(answer.headers.get_list("Date")) == 1
        assert "Server" not in answer.headers


async def test_pages_statuses_and_what_was_acknowledged_outlive_the_process_that_gave_them(home, database):
    objects = f"/exchange/collections/{REGIONAL}/objects/"
    with process(home) as (first, running):
        token = await token_of(database, "walt")
        async with client(first, token) as http:
            body = {"objects": [indicator(number) for number in range(5)]}
            posted = (await http.post(objects, json=body, headers={"Content-Type": TAXII})).json()
            page = (await http.get(objects, params={"limit": 2})).json()
        with process(home) as (second, _):  # another replica over the same database
            async with client(second, token) as http:
                beside = (await http.get(objects, params={"limit": 1, "next": page["next"]})).json()
            assert beside["objects"] == [indicator(2)]
        running.send_signal(signal.SIGKILL)
        running.wait()
    with process(home) as (again, _):
        async with client(again, token) as http:
            assert ids(await http.get(objects, params={"next": beside["next"]})) == [
                indicator(number)["id"] for number in (3, 4)
            ]
            assert (await http.get(f"/exchange/status/{posted['id']}/")).json() == posted
            assert len(ids(await http.get(objects))) == 5


async def test_a_process_that_ends_lets_go_who_waits_for_news(home, database):
    with process(home) as (address, running):
        async with client(address, await token_of(database, "rita")) as http:
            waits = asyncio.create_task(http.get(f"/exchange/news/?after={REGIONAL}:&wait=30", timeout=60))
            await asyncio.sleep(0.5)
            assert not waits.done()
            began = time.monotonic()
            running.send_signal(signal.SIGTERM)
            assert (await waits).json() == {"news": []}
            assert await asyncio.to_thread(running.wait, 20) == 0
            assert time.monotonic() - began < 10
