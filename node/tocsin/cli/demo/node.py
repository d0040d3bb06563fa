"""Node: one Tocsin of the demo, worked by its own command line in processes of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.errors import Refused

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class DemoNode:
    """A home, the commands typed in it, and the process that serves it."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self._log = home.with_suffix(".log")
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tocsin(self, *words: str, typed: str = "", partly: bool = False) -> str:
        """Run `tocsin WORDS --home HOME` and return what it prints.

        Raises Refused when it fails, and, unless `partly`, when it did only a part.
        """
        process: subprocess.Popen[str] | None = None
        try:
            with _uninterrupted():
                process = subprocess.Popen(  # noqa: S603  (our own command, with words of the demo's own)
                    [*_COMMAND, *words, "--home", str(self.home)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    env=_environment(),
                )
            out, err = process.communicate(typed)
        except KeyboardInterrupt:
            if process is not None:
                process.kill()
                process.wait()
            raise
        if process.returncode not in ((0, 3) if partly else (0,)):
            raise Refused(f"tocsin {' '.join(words)} ended with {process.returncode}:\n{out}{err}")
        return out

    def start(self) -> None:
        """Start serving. The commands typed beside it work on the same home."""
        with self._log.open("wb") as log, _uninterrupted():
            self._server = subprocess.Popen(  # noqa: S603  (our own command)
                [*_COMMAND, "serve", "--port", str(self.port), "--home", str(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # ^C is for the demo, which ends its nodes in order
            )

    def wait_until_serving(self) -> None:
        """Raises Refused when it does not listen in time, with what it said."""
        deadline = time.monotonic() + _START_SECONDS
        while " listens on " not in self.log:
            if not self.serving or time.monotonic() > deadline:
                raise Refused(f"the node in {self.home} does not serve:\n{self.log}")
            time.sleep(0.05)

    @property
    def serving(self) -> bool:
        return self._server is not None and self._server.poll() is None

    @property
    def log(self) -> str:
        """What the serving process has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End the serving process, gently if it lets itself."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """What would end the demo waits while a process is started: else one could run on that nobody knows of.

    Only the main thread is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: heard.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt


_COMMAND = [sys.executable, "-P", "-m", "tocsin.cli"]  # -P: never what lies in the folder that one stands in


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("TOCSIN_HOME", "COLUMNS")}
    return kept | {"NO_COLOR": "1", "PYTHONUTF8": "1"}
