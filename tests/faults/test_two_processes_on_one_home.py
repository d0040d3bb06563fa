"""A CLI import beside a serving node on one SQLite home, and eight pollers: none of them misses an object."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx2

RECORDS = 300
POLLERS = 8
TAXII = "application/taxii+json;version=2.1"

SETTINGS = """
node: {name: CERT Alpha, country: EE}
accounts:
  acme: {kind: company, country: EE}
collections:
  open: {title: Open, readers: [acme], clearance: green, release: automatic, policy: open}
"""
POLICY = "rules: [{id: ours, match: {origin: ours}, then: allow, reason: all of ours}]"


def tocsin(home: Path, *words: str) -> str:
    environment = os.environ | {"TOCSIN_HOME": str(home), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tocsin.cli", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def a_home(folder: Path) -> tuple[Path, str]:
    home = folder / "home"
    tocsin(home, "init", "--name", "CERT Alpha", "--country", "EE")
    (home / "tocsin.yaml").write_text(SETTINGS)
    for policy in (home / "policies").glob("*.yaml"):
        policy.unlink()
    (home / "policies" / "open.yaml").write_text(POLICY)
    tocsin(home, "apply", "--yes")
    return home, tocsin(home, "account", "token", "acme").strip()


def records(folder: Path) -> Path:
    lines = [
        {
            "schema_version": "1.3.4",
            "plus": {"master_id": f"record-{number:04}"},
            "security_incident": "Confirmed",
            "action": {"hacking": {"variety": ["DoS"], "vector": ["Web application"]}},
            "actor": {"external": {"variety": ["Activist"], "motive": ["Ideology"], "country": ["Unknown"]}},
            "asset": {"assets": [{"variety": "S - Web application"}]},
            "attribute": {"availability": {"variety": ["Interruption"]}},
            "victim": {"victim_id": f"Examplia {number}", "country": ["EE"], "industry": "922190"},
            "timeline": {"incident": {"year": 2025}},
        }
        for number in range(RECORDS)
    ]
    file = folder / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def poll(objects_url: str, token: str, limit: int, by_next: bool, done: asyncio.Event) -> set[str]:
    """Read as a client does that knows only `added_after`, or follows `next`, until nothing more comes."""
    seen: set[str] = set()
    after: str | None = None
    headers = {"Authorization": f"Bearer {token}", "Accept": TAXII}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
        cursor: str | None = None
        while True:
            finished = done.is_set()
            asked = {"limit": str(limit)} | ({"added_after": after} if after else {})
            answer = await client.get(objects_url, params=asked | ({"next": cursor} if cursor else {}))
            assert answer.status_code == 200, answer.text
            page = answer.json()
            seen |= {one["id"] for one in page.get("objects", [])}
            if page.get("objects") and not (by_next and page.get("more")):
                after = answer.headers["X-TAXII-Date-Added-Last"]
            cursor = page.get("next") if by_next else None
            if not page.get("objects"):
                if finished:
                    return seen
                await asyncio.sleep(0.02)


async def test_no_poller_misses_an_object_of_an_import_beside_it(tmp_path):
    home, token = a_home(tmp_path)
    file, port = records(tmp_path), free_port()
    environment = os.environ | {"TOCSIN_HOME": str(home)}
    command = [sys.executable, "-m", "tocsin.cli"]
    serving = await asyncio.create_subprocess_exec(*command, "serve", "--port", str(port), env=environment)
    try:
        root = f"http://127.0.0.1:{port}/exchange/collections/"
        (collection,) = (await _answering(root, token))["collections"]
        done = asyncio.Event()
        polling = [
            asyncio.create_task(poll(f"{root}{collection['id']}/objects/", token, 7 + 13 * n, n % 2 == 0, done))
            for n in range(POLLERS)
        ]
        importing = await asyncio.create_subprocess_exec(
            *command,
            "import",
            "veris",
            str(file),
            "--source",
            "rt",
            "--tlp",
            "green",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = await importing.communicate()
        done.set()
        assert importing.returncode == 0, said
        views = await asyncio.gather(*polling)
    finally:
        serving.terminate()
        await serving.wait()
    assert [len([id_ for id_ in seen if id_.startswith("incident--")]) for seen in views] == [RECORDS] * POLLERS
    assert all(seen == views[0] for seen in views)


async def _answering(url: str, token: str) -> dict[str, list[dict[str, str]]]:
    headers = {"Authorization": f"Bearer {token}", "Accept": TAXII}
    async with httpx2.AsyncClient(headers=headers) as client:
        for _ in range(200):
            try:
                return dict((await client.get(url)).raise_for_status().json())
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
    raise AssertionError("the node does not answer")
