"""medallion as a target: the reference server with its memory back end, by its own command.

It compares each new object with all it has, copies the collection for each request, and walks objects × manifest
for each filter: a thousand objects is what it can be asked about. It answers 500 for any collection that holds an
`extension-definition`; the corpus has none.
"""

import json
import os
import sys
from pathlib import Path

from tests.bench.corpus import Corpus
from tests.bench.processes import NotStarted, free_port, launch, wait_for_port
from tests.bench.targets.taxii import MEDIA_TYPE, PAGE, TaxiiTarget, basic

COMMAND = Path(sys.executable).with_name("medallion")
COLLECTION = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
MOST = 1_000  # objects in a collection that it can be asked about
_STIX = "application/stix+json;version=2.1"


def start(folder: Path, *, corpus: Corpus, count: int = 0) -> TaxiiTarget:
    """A running medallion that holds the first `count` objects. Raises NotStarted."""
    if not COMMAND.exists():
        raise NotStarted("medallion is not installed (it comes with the extra `dev`)")
    objects = [made for made in corpus.many(0, count) if b'"modified"' in made.raw]
    head = "2025-06-01T00:00:00.000001Z"
    data, config = folder / "data.json", folder / "medallion.json"
    data.write_text(json.dumps(_data([json.loads(made.raw) for made in objects], head)))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(data),
    }
    config.write_text(
        json.dumps({"backend": backend, "users": {"rita": "w0rd"}, "taxii": {"max_page_size": PAGE}})
    )
    port = free_port()
    server = launch(
        [str(COMMAND), "--host", "127.0.0.1", "--port", str(port), str(config)],
        folder / "medallion.log",
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    wait_for_port(server, port)
    headers = {"Host": "node.example", "Accept": MEDIA_TYPE, "Authorization": basic("rita", "w0rd")}
    return TaxiiTarget(
        name="medallion",
        engine="",
        server=server,
        path=f"/root/collections/{COLLECTION}/",
        reading=headers,
        writing=headers,
        stop=server.stop,
        head=head,
        turns=2,
    )


def _data(objects: list[dict[str, object]], added: str) -> dict[str, object]:
    manifest = [
        {"id": value["id"], "date_added": added, "version": value["modified"], "media_type": _STIX}
        for value in objects
    ]
    collection = {
        "id": COLLECTION,
        "title": "Regional exchange",
        "can_read": True,
        "can_write": True,
        "media_types": [_STIX],
        "objects": objects,
        "manifest": manifest,
    }
    information = {"title": "root", "versions": [MEDIA_TYPE], "max_content_length": 100_000_000}
    return {
        "/discovery": {"title": "medallion", "default": "/root/", "api_roots": ["/root/"]},
        "root": {"information": information, "status": [], "collections": [collection]},
    }
