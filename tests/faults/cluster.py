"""Cluster: a PostgreSQL that a test may stop, kill and start again over the same data."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import postgresql_server
from postgresql_server import NoPostgresql

_PATIENCE = 60.0
# Ends the server when the pipe to this shell closes: also when the tests are killed.
_KEEPER = '"$@" & server=$!; read -r _; kill -QUIT $server 2>/dev/null; wait $server'


@dataclass(slots=True)
class Cluster:
    """The data in `data`, the socket and the log in `folder`; it commits durably."""

    data: Path
    folder: Path
    _command: list[str] = field(repr=False)
    _user: int | None = field(repr=False)
    _keeper: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @classmethod
    def make(cls, data: Path) -> "Cluster":
        """A new one, started. Raises NoPostgresql with the reason."""
        folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))  # short: the path of a socket may have 107 bytes
        try:
            binaries, prefix, user = postgresql_server._runner(
                postgresql_server._binaries(), folder, namespace=True
            )
            data.mkdir(mode=0o700)
            if user is not None:
                for path in (folder, data, *folder.rglob("*")):
                    os.chown(path, user, user, follow_symlinks=False)
            initdb = [*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
            initdb += ["--encoding=UTF8", "--locale=C"]
            made = subprocess.run(initdb, user=user, cwd=folder, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise NoPostgresql(f"initdb: {made.stderr.strip()}")
            command = [*prefix, str(binaries / "postgres"), "-D", str(data), "-c", "listen_addresses="]
            command += ["-c", f"unix_socket_directories={folder}", "-c", "shared_buffers=32MB"]
            cluster = cls(data, folder, command, user)
            cluster.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cluster

    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def start(self) -> float:
        """Start it; the moment (time.monotonic()) at which it took connections."""
        assert self._keeper is None
        with (self.folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                ["sh", "-c", _KEEPER, "sh", *self._command],
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ^C is for the tests
            )
        deadline = time.monotonic() + _PATIENCE
        begun = False
        while self._state() != "ready":
            lives = bool(self._children_of_keeper())
            begun = begun or lives
            if time.monotonic() > deadline or (begun and not lives):
                said = (self.folder / "log").read_text(errors="replace")[-2000:]
                self.kill()
                raise NoPostgresql(f"postgres did not start: {said}")
            time.sleep(0.01)
        return time.monotonic()

    def stop(self, how: signal.Signals) -> None:
        """SIGINT: its fast shutdown; SIGQUIT: its immediate one; SIGKILL: none at all. Returns when it is gone."""
        (postmaster,) = self._children_of_keeper()
        backends = _children(postmaster)
        os.kill(postmaster, how)
        self._wait_for(postmaster, *backends)

    def kill(self) -> None:
        """Every process of it at once, as when the machine goes down."""
        for postmaster in self._children_of_keeper():
            everybody = [postmaster, *_children(postmaster)]
            for one in everybody:
                _kill(one)
            self._wait_for(*everybody)
        self._end_keeper()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for(self, *gone: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while any(_lives(one) for one in gone):
            assert time.monotonic() < deadline, "postgres does not end"
            time.sleep(0.01)
        self._end_keeper()

    def _end_keeper(self) -> None:
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait(_PATIENCE)
            self._keeper = None

    def _children_of_keeper(self) -> list[int]:
        if self._keeper is None or self._keeper.poll() is not None:
            return []
        return _children(self._keeper.pid)

    def _state(self) -> str:
        """The last word of `postmaster.pid`, where it is that of the one that runs."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return ""
        return lines[-1] if lines and [int(lines[0])] == self._children_of_keeper() else ""


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _lives(pid: int) -> bool:
    """A dead child that nobody has looked at yet does not live."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, signal.SIGKILL)
