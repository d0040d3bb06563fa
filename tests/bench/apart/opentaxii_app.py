"""OpenTAXII, inside its own environment: the application that gunicorn serves, and the filling of its database.

A script that needs nothing of the node. As released (0.9.3) it answers 500 to every POST after having committed
it, because the id of the job is a UUID that its `json.dumps` does not know: that is mended here, or nothing could
be measured.

    OPENTAXII_CONFIG=FILE python opentaxii_app.py COUNT < objects     # makes collection COLLECTION and fills it
    OPENTAXII_CONFIG=FILE gunicorn opentaxii_app:app
"""

import datetime
import functools
import json
import sys

from opentaxii.http import app, server
from opentaxii.persistence.sqldb import taxii2models as models
from opentaxii.taxii2 import http as responses

ROOT = "3f0c4d5e-7a11-4c1e-9b0d-0000000000a0"
COLLECTION = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
BATCH = 2_000

responses.json = type("Json", (), {"dumps": staticmethod(functools.partial(json.dumps, default=str))})

__all__ = ["app"]


def fill() -> str:
    """Make root and collection, public so that no password has to be checked, and put every line of standard
    input (`version TAB object`) into it; the date of the last."""
    database = server.servers.taxii2.persistence.api.db
    session = database.session
    session.add(models.ApiRoot(id=ROOT, default=True, title="root", is_public=True))
    session.flush()
    session.add(
        models.Collection(
            id=COLLECTION,
            api_root_id=ROOT,
            title="Regional",
            alias="regional",
            is_public=True,
            is_public_write=True,
        )
    )
    session.commit()
    added = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)
    rows = []
    for line in sys.stdin:
        version, _, text = line.partition("\t")
        value = json.loads(text)
        added += datetime.timedelta(microseconds=21)
        rows.append(
            {
                "id": value.pop("id"),
                "collection_id": COLLECTION,
                "type": value.pop("type"),
                "spec_version": value.pop("spec_version"),
                "date_added": added,
                "version": datetime.datetime.fromisoformat(version.replace("Z", "+00:00")),
                "serialized_data": value,
            }
        )
        if len(rows) == BATCH:
            session.execute(models.STIXObject.__table__.insert(), rows)
            rows = []
    if rows:
        session.execute(models.STIXObject.__table__.insert(), rows)
    session.commit()
    return added.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    print(fill())
