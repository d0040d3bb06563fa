"""The proxies of deploy/ in front of two replicas: what their files say about replicas is what they do.

Run where nginx or Caddy is on the PATH; each has the file that we ship, without TLS and at another port.
"""

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from replicas import TAXII, Deployment, deployed, indicator, pages, path_of, post
from tocsin.stix.canonical import LIMITS

DEPLOY = Path(__file__).parents[2] / "deploy"
BOTH = "127.0.0.1:8390", "127.0.0.1:8391"


def _nginx(folder: Path, port: int, addresses: Sequence[str]) -> list[str]:
    site = (DEPLOY / "nginx.conf").read_text().replace(f"# server {BOTH[1]}", f"server {BOTH[1]}")
    site = re.sub(r"^ *(ssl_.*|listen \[::\].*)\n", "", site, flags=re.MULTILINE)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    for ours, theirs in zip(BOTH, addresses, strict=True):
        site = site.replace(ours, theirs)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    own = f"daemon off; master_process off; pid {folder / 'pid'}; error_log stderr; events {{}}"
    file = folder / "nginx.conf"
    file.write_text(f"{own}\nhttp {{ access_log off; {temporary}\n{site} }}\n")
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(file)]


def _caddy(folder: Path, port: int, addresses: Sequence[str]) -> list[str]:
    site = (DEPLOY / "Caddyfile").read_text()
    assert f"`reverse_proxy {' '.join(BOTH)} {{`" in site  # so it says in a comment
    site = site.replace(f"reverse_proxy {BOTH[0]} {{", f"reverse_proxy {' '.join(addresses)} {{")
    site = site.replace("node.cert-alpha.example {", f"http://127.0.0.1:{port} {{")
    file = folder / "Caddyfile"
    file.write_text(f"{{\n\tadmin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


PROXIES = {"nginx": _nginx, "caddy": _caddy}


@pytest.fixture(scope="module", params=PROXIES)
def proxied(request, make_empty, tmp_path_factory) -> Iterator[tuple[Deployment, str]]:
    """Two replicas over PostgreSQL, and the address of the proxy in front of them."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with deployed(folder, make_empty("postgresql"), 2) as node:
        addresses = [address.removeprefix("http://") for address in node.addresses]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with _running(PROXIES[request.param](folder, port, addresses), folder, port):
            yield node, f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | homes)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                said = (folder / "proxy.log").read_text()
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


async def test_what_the_node_takes_and_says_passes_through(proxied):
    node, address = proxied
    async with node.client(address, "writer-0") as writer, node.client(address) as reader:
        head, tail = b'{"objects": [' + _json(indicator(1)) + b"]", b"}"
        body = head + b" " * (LIMITS.body - len(head) - len(tail)) + tail
        answer = await writer.post(path_of("b"), content=body, headers={"Content-Type": TAXII})
        assert (answer.status_code, answer.json()["success_count"]) == (202, 1)
        await post(writer, "b", [indicator(number) for number in range(2, 40)])
        for coding in ("identity", "gzip"):
            headers = {"Accept-Encoding": coding}
            answer = await reader.get(path_of("b"), headers=headers)
            assert answer.headers.get("Content-Encoding", "identity") == coding
            assert len(answer.json()["objects"]) == 39
            again = await reader.get(path_of("b"), headers={"If-None-Match": answer.headers["ETag"], **headers})
            assert again.status_code == 304


async def test_a_replica_that_is_killed_costs_a_reader_the_answer_that_was_on_its_way_at_most(proxied):
    node, address = proxied
    stop = asyncio.Event()
    added: list[str] = []

    async def write() -> None:
        async with node.client(address, "writer-0") as http:
            for number in itertools.count(1000, 5):
                if stop.is_set():
                    return
                values = [indicator(number + one) for one in range(5)]
                assert (await post(http, "a", values))["success_count"] == 5
                added.extend(value["id"] for value in values)

    async def read() -> tuple[int, int]:
        answered = broken = 0
        async with node.client(address) as http:
            while not stop.is_set():
                try:
                    answer = await http.get(path_of("a"), params={"limit": 5})
                except httpx2.TransportError:
                    broken += 1
                    continue
                assert answer.status_code == 200, answer.text
                answered += 1
        return answered, broken

    working = [asyncio.create_task(work()) for work in (write, read, read)]
    for replica in node.replicas:
        await asyncio.sleep(1.2)  # longer than a proxy passes over one that was away
        await asyncio.to_thread(replica.restart, signal.SIGKILL)
    await asyncio.sleep(0.5)
    stop.set()
    _, *reads = await asyncio.gather(*working)
    for answered, broken in reads:
        assert answered > 50
        assert broken <= len(node.replicas)
    async with node.client(address) as http:
        found = []
        async for answer in pages(http, "a", "objects/", {"limit": 7, "match[version]": "all"}):
            found += [one["id"] for one in answer.json()["objects"]]
    assert sorted(found) == sorted(added)


def _json(value: dict) -> bytes:
    return json.dumps(value).encode()
