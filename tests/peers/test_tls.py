"""TLS: whose certificate is believed, and showing one of ours."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tocsin.errors import PeerFailed
from tocsin.settings import Home, PeerSettings
from tocsin.taxii.client import Bounds, PeerClient, read_credential
from zoo import Animal, animal, http

SHORT = Bounds(deadline=5.0, attempts=1)


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def signed(folder: Path, name: str, extension: str) -> None:
    """A key and a certificate of the authority in `folder`."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}.example")
    (folder / f"{name}.ext").write_text(extension)
    by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *by)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A folder with an authority, a server certificate for 127.0.0.1, and a client certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("authority")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        folder,
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "2",
        "-subj",
        "/CN=ca.example",
    )
    signed(folder, "server", "subjectAltName=IP:127.0.0.1")
    signed(folder, "other", "subjectAltName=DNS:other.example")
    signed(folder, "client", "extendedKeyUsage=clientAuth")
    return folder


def serving(authority: Path, name: str, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.crt")
    context.load_cert_chain(authority / f"{name}.crt", authority / f"{name}.key")
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context


async def ask(home: Home, zoo, auth: str = "bearer") -> bytes:
    url = zoo.url.replace("http:", "https:")
    zoo.answers["/taxii2/"] = http(200, {"title": "zoo"})
    credential = read_credential(home, "zoo", PeerSettings(url=url, auth=auth))
    try:
        async with PeerClient("zoo", url, credential, SHORT) as client:
            return (await client.get(url)).body
    finally:
        await asyncio.sleep(0.05)  # both sides of TLS say goodbye after they have closed


@pytest.fixture
def home(tmp_path, authority) -> Home:
    """A home that trusts the authority for this one peer."""
    found = Home(tmp_path)
    found.write_secret("peers/zoo", "w0rd")
    found.write_secret("peers/zoo.ca", (authority / "ca.crt").read_text())
    return found


async def test_an_authority_given_for_a_peer_is_believed(home, authority):
    async with animal(serving(authority, "server")) as zoo:
        assert await ask(home, zoo) == b'{"title": "zoo"}'


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(home, authority):
    (home.keys / "peers/zoo.ca").unlink()
    async with animal(serving(authority, "server")) as zoo:
        with pytest.raises(PeerFailed, match="certificate that is not trusted"):
            await ask(home, zoo)
        assert zoo.asked == []


async def test_a_certificate_for_another_name_is_refused(home, authority):
    async with animal(serving(authority, "other")) as zoo:
        with pytest.raises(PeerFailed, match=r"certificate that is not trusted.*IP address mismatch"):
            await ask(home, zoo)
        assert zoo.asked == []


async def test_a_server_without_tls_is_said_so(home):
    async def plain(reader, writer):
        writer.write(http(400, {}))
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    zoo = Animal(server.sockets[0].getsockname()[1])
    with pytest.raises(PeerFailed, match="over TLS"):
        await ask(home, zoo)
    server.close()
    await server.wait_closed()


async def test_a_client_certificate_is_shown_and_one_that_is_missing_is_missed(home, authority):
    for kind in ("crt", "key"):
        home.write_secret(f"peers/zoo.{kind}", (authority / f"client.{kind}").read_text())
    async with animal(serving(authority, "server", asks=True)) as zoo:
        assert await ask(home, zoo, "certificate") == b'{"title": "zoo"}'
        assert "authorization" not in zoo.asked[0].headers
        with pytest.raises(PeerFailed):
            await ask(home, zoo)
        assert len(zoo.asked) == 1
