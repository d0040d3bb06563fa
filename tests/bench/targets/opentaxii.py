"""OpenTAXII as a target: installed apart, served by gunicorn with two workers, as its documentation has it.

Its collection is public, which spares it the checking of a password.
"""

import json
import subprocess
from pathlib import Path

from sqlalchemy import make_url
from tests.bench import environments
from tests.bench.corpus import Corpus, Made
from tests.bench.processes import NotStarted, free_port, launch, wait_for_port
from tests.bench.targets.taxii import MEDIA_TYPE, TaxiiTarget

APP = Path(__file__).parents[1] / "apart" / "opentaxii_app.py"
ROOT = "3f0c4d5e-7a11-4c1e-9b0d-0000000000a0"  # as in the script, which cannot be imported here
COLLECTION = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
POSTS = 2_000  # written in one repeat
TURNS = 2


def start(
    folder: Path, engine: str, url: str, *, corpus: Corpus, count: int = 0, database_pid: int | None = None
) -> TaxiiTarget:
    """A running OpenTAXII over the database at `url`, filled past its door. Raises NotStarted."""
    python = environments.python_of("opentaxii")
    config = folder / "opentaxii.yml"
    config.write_text(json.dumps(_settings(folder, url)))  # JSON is YAML
    environment = {"OPENTAXII_CONFIG": str(config), "PYTHONWARNINGS": "ignore"}
    head = _fill(python, folder, environment, corpus, count)
    port = free_port()
    command = [str(python), "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    server = launch(
        [*command, "--chdir", str(APP.parent), "opentaxii_app:app"],
        folder / "opentaxii.log",
        cwd=folder,
        env=environment,
    )
    wait_for_port(server, port)
    headers = {"Host": "node.example", "Accept": MEDIA_TYPE}
    return TaxiiTarget(
        name=f"opentaxii-{engine}",
        engine=engine,
        server=server,
        path=f"/taxii2/{ROOT}/collections/{COLLECTION}/",
        reading=headers,
        writing=headers,
        stop=server.stop,
        head=head,
        database_pid=database_pid,
        takes=_takes,
        posts=POSTS,
        turns=TURNS,
    )


def _takes(made: Made) -> bool:
    """It answers 500 to an object without `modified`, so it is spared observables."""
    return b'"modified"' in made.raw


def _settings(folder: Path, url: str) -> dict[str, object]:
    database = {"class": "opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI"}
    return {
        "domain": "node.example",
        "auth_api": {
            "class": "opentaxii.auth.sqldb.SQLDatabaseAPI",
            "parameters": {
                "db_connection": f"sqlite:///{folder / 'auth.db'}",
                "create_tables": True,
                "secret": "only for a measurement",
            },
        },
        "taxii1": None,
        "taxii2": {
            "title": "OpenTAXII",
            "public_discovery": True,
            "max_content_length": 100_000_000,
            "allow_custom_properties": True,
            "persistence_api": {**database, "parameters": {"db_connection": url, "create_tables": True}},
        },
        "logging": {"opentaxii": "warning", "root": "warning"},
    }


def _fill(python: Path, folder: Path, environment: dict[str, str], corpus: Corpus, count: int) -> str:
    lines = folder / "objects"
    with lines.open("wb") as out:
        for number in range(count):
            made = corpus.make(number)
            out.write(b"%b\t%b\n" % (made.version.encode(), made.raw))
    with lines.open("rb") as given:
        done = subprocess.run(
            [python, APP], stdin=given, capture_output=True, text=True, check=False, cwd=folder, env=environment
        )
    lines.unlink()
    if done.returncode != 0:
        raise NotStarted(f"OpenTAXII cannot be filled: {done.stderr.strip()[-500:]}")
    return done.stdout.split()[-1]


def address_of(url: str) -> str:
    """A URL of ours as SQLAlchemy wants it for psycopg2."""
    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
