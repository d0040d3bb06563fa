"""Every route of the app and everybody who may ask: one table says what each gets; an undeclared route fails."""

import asyncio

import pytest

from taxii_node import POLICY, PRIVATE, REGIONAL, SECOND, indicator, served
from tocsin.app import make_app
from tocsin.settings import Home
from tocsin.store import accounts, grants, parties, pauses

SETTINGS = f"""
node: {{name: CERT Alpha, country: EE}}
accounts:
  rita: {{kind: company, country: EE}}
  walt: {{kind: company, country: EE}}
  nora: {{kind: company, country: EE}}
  sam: {{kind: company, country: EE}}
  pam: {{role: operator}}
  ann: {{role: analyst}}
  pub: {{role: publisher}}
  ops: {{role: operator}}
  aud: {{role: auditor}}
peers:
  beta: {{kind: cert, country: LV, url: "https://beta.example/taxii2/"}}
collections:
  regional:
    id: {REGIONAL}
    title: Regional exchange
    readers: [rita, walt, beta, sam, pam]
    writers: [walt]
    policy: open
    unmarked: clear
  second: {{id: {SECOND}, title: Second, readers: [rita], policy: open, unmarked: clear}}
  private: {{id: {PRIVATE}, title: Private, readers: [walt], policy: open, unmarked: clear}}
"""
ROLES = ("ann", "pub", "ops", "aud")
STRANGERS = ("nobody", "wrong", "revoked")
ALL = (*STRANGERS, "rita", "beta", "walt", "nora", *ROLES, "sam", "pam")
NOT_LET_IN = dict.fromkeys(STRANGERS, 401) | {"sam": 403, "pam": 503}  # suspended; paused


def known(status: int, **others: int) -> dict[str, int]:
    """The same for everybody who is known, but for those named."""
    return dict.fromkeys(ALL, status) | NOT_LET_IN | others


READERS = ("rita", "beta", "walt")
FOR_READERS = known(404) | dict.fromkeys(READERS, 200)
FOR_ROLES = known(404) | dict.fromkeys(ROLES, 200)
ANYBODY = dict.fromkeys(ALL, 200)
C = "/exchange/collections/{collection}"

# `nora` read `regional` once: she is told what of it was taken back, and nothing else.
# One line for each route and method: who gets what. Paths stand without their trailing slash.
MATRIX: dict[tuple[str, str], dict[str, int]] = {
    ("GET", "/taxii2"): known(200),
    ("GET", "/exchange"): known(200),
    ("GET", "/exchange/status/{status}"): known(404),
    ("GET", "/exchange/collections"): known(200),
    ("GET", C): FOR_READERS,
    ("GET", f"{C}/manifest"): FOR_READERS,
    ("GET", f"{C}/objects"): FOR_READERS,
    ("POST", f"{C}/objects"): known(404, rita=403, beta=403, walt=202),
    ("GET", f"{C}/objects/{{object}}"): FOR_READERS,
    ("DELETE", f"{C}/objects/{{object}}"): known(404, rita=403, beta=403, walt=403),
    ("GET", f"{C}/objects/{{object}}/versions"): FOR_READERS,
    ("GET", f"{C}/changes"): FOR_READERS | {"nora": 200},
    ("GET", f"{C}/changes/content"): FOR_READERS,
    ("GET", f"{C}/digest"): FOR_READERS,
    ("POST", f"{C}/acknowledgements"): FOR_READERS | {"nora": 200},
    ("GET", "/exchange/news"): FOR_READERS,
    ("GET", "/.well-known/tocsin.json"): ANYBODY,
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/api/v1/openapi.json"): FOR_ROLES,
    ("GET", "/api/v1/status"): FOR_ROLES,
    ("GET", "/api/v1/peers"): FOR_ROLES,
    ("GET", "/api/v1/peers/{name}"): FOR_ROLES,
    ("GET", "/api/v1/peers/{name}/ledger"): FOR_ROLES,
    ("GET", "/api/v1/quarantine"): FOR_ROLES,
    ("GET", "/api/v1/quarantine/{number}"): known(404),
}
FILLED = {
    "collection": REGIONAL,
    "object": indicator(1)["id"],
    "status": "3f0c4d5e-7a11-4c1e-9b0d-00000000dead",
    "name": "beta",
    "number": "7",
}
QUERIES = {
    "/exchange/news": f"?after={REGIONAL}:&wait=0",
    f"{C}/changes/content": "?at=2025-03-01T00:00:00Z",
}
ANSWER = (
    b'{"acknowledgements":[{"position":"2025-03-01T00:00:00.000000Z","outcome":"purged","id":"'
    b'indicator--00000000-0000-4000-8000-000000000001"}]}'
)
BODIES = {f"{C}/objects": b'{"objects":[]}', f"{C}/acknowledgements": ANSWER}


def routes_of(app) -> set[tuple[str, str]]:
    return {
        (method, route.path.rstrip("/")) for route in app.routes for method in route.methods if method != "HEAD"
    }


@pytest.fixture
async def node(store, tmp_path):
    async with served(store, tmp_path, settings=SETTINGS, policy=POLICY) as running:
        async with store.writing() as tx:
            held = {(one.party_id, one.collection_id, one.role) for one in await grants.grants(tx, holding=True)}
            once = (running.parties["nora"], REGIONAL, "reader")
            await grants.set_grants(tx, held | {once}, await tx.now())
        await running.fill([indicator(1)])
        async with store.writing() as tx:
            now = await tx.now()
            await grants.set_grants(tx, held, now)
            running.tokens["revoked"] = await accounts.make_token(tx, running.parties["rita"], now)
            await accounts.revoke_tokens(tx, running.parties["rita"], now)
            running.tokens["rita"] = await accounts.make_token(tx, running.parties["rita"], now)
            await parties.set_suspended(tx, running.parties["sam"], suspended=True)
            await pauses.put(tx, [running.parties["pam"]], "a drill", "mari", now)
        running.tokens["wrong"] = running.tokens["walt"][:-1] + ("A" if running.tokens["walt"][-1] != "A" else "B")
        yield running


def test_every_route_is_in_the_table(tmp_path, store):
    home = Home(tmp_path)
    home.write_secret("namespace", "5b" * 32)
    assert routes_of(make_app(store, home)) == set(MATRIX)


async def ask(node, method, path, by):
    url = node.url + path.format(**FILLED) + QUERIES.get(path, "")
    headers = {} if by == "nobody" else {"X-API-Key": node.tokens[by]}
    if method == "POST":
        plain = "acknowledgements" in path
        headers["Content-Type"] = "application/json" if plain else "application/taxii+json;version=2.1"
    return await node.http.request(method, url, headers=headers, content=BODIES.get(path))


async def test_everybody_gets_from_every_route_what_the_table_says(node):
    cells = [(method, path, by) for (method, path), row in MATRIX.items() for by in row]
    found = {}
    for at in range(0, len(cells), 8):
        some = cells[at : at + 8]
        answers = await asyncio.gather(*(ask(node, *cell) for cell in some))
        found |= {cell: answer.status_code for cell, answer in zip(some, answers, strict=True)}
    wrong = {
        cell: (got, MATRIX[cell[:2]][cell[2]]) for cell, got in found.items() if got != MATRIX[cell[:2]][cell[2]]
    }
    assert wrong == {}
    assert len(found) == len(MATRIX) * len(ALL)


async def test_the_api_is_to_others_as_if_it_were_not_there_and_says_bad_parameters_to_its_own(node):
    async def get(path, by):
        answer = await node.http.get(f"{node.url}{path}", headers={"X-API-Key": node.tokens[by]})
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status_code, answer.content

    for path in ("/api/v1/status", "/api/v1/peers/beta/ledger?limit=x", "/api/v1/peers/nobody"):
        assert await get(path, "rita") == await get("/api/v1/nothing", "rita")
    for path in ("/api/v1/peers/beta/ledger?limit=0", "/api/v1/quarantine?after=x"):
        status, body = await get(path, "ann")
        assert (status, b'"http_status":"400"' in body) == (400, True)
    assert (await get("/api/v1/peers/nobody", "ann"))[0] == 404


async def test_the_api_says_how_the_node_stands_as_its_description_has_it(node):
    async def get(path):
        return (await node.http.get(f"{node.url}/api/v1{path}", headers={"X-API-Key": node.tokens["aud"]})).json()

    described = await get("/openapi.json")
    assert set(described["paths"]) == {path for _, path in MATRIX if path.startswith("/api/")} - {
        "/api/v1/openapi.json"
    }
    status = await get("/status")
    assert (status["node"], status["paused"], status["quarantined"]) == ("CERT Alpha", None, 0)
    assert [one["collection"] for one in status["collections"]] == ["regional", "second", "private"]
    assert [one["stands"] for one in await get("/peers")] == ["nothing pulled"]
    assert await get("/quarantine") == []
