"""Environments: what we compare with is installed apart, never beside the node, and kept from run to run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.processes import NotStarted

PACKAGES = {"opentaxii": ("opentaxii", "gunicorn", "psycopg2-binary")}


def cache() -> Path:
    """Where they are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tocsin-bench"


def python_of(name: str) -> Path:
    """The interpreter of an environment, made when it is not there. Raises NotStarted when that fails."""
    folder = cache() / name
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[name]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotStarted(f"{name} cannot be installed: {done.stderr.strip()[-300:]}")
    (folder / "complete").touch()
    return python


def versions_of(name: str) -> str:
    """The versions of an environment's own packages, as a line."""
    ask = "import importlib.metadata as m, json, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
    done = subprocess.run(
        [python_of(name), "-c", ask, *PACKAGES[name]], capture_output=True, text=True, check=True
    )

    return ", ".join(f"{package} {version}" for package, version in json.loads(done.stdout).items())
