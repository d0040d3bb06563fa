"""TAXII 2.1 §1.6.9, §8.2.2: one credential, in every spelling that clients know."""

import base64

import pytest

from taxii_node import indicator
from tocsin.auth import Credential, read_credential
from tocsin.errors import NotAuthenticated
from tocsin.store import accounts, parties


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer tcn_x"}, Credential("tcn_x")),
        ({"authorization": "bEARER   tcn_x  "}, Credential("tcn_x")),
        ({"authorization": "Token tcn_x"}, Credential("tcn_x")),
        ({"authorization": f"Basic {basic('rita', 'tcn_x')}"}, Credential("tcn_x", "rita")),
        ({"authorization": f"basic {basic('rita', 'tcn_x')}"}, Credential("tcn_x", "rita")),  # MISP
        ({"authorization": f"Basic {basic('', 'a:b')}"}, Credential("a:b", "")),
        ({"x-api-key": "tcn_x"}, Credential("tcn_x")),
        ({"authorization": "Bearer tcn_x", "x-api-key": "tcn_y"}, Credential("tcn_x")),
    ],
)
def test_a_credential_is_read_in_every_spelling(headers, credential):
    assert read_credential(headers) == credential


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "tcn_x"},
        {"authorization": "Digest username=rita"},
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic abc"},  # padding lost
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"authorization": f"Basic {basic('rita', '')}"},
        {"authorization": "Basic \xe9\xe8"},
        {"authorization": "Bearer " + "x" * 201},
        {"authorization": "Bearer two words"},
        {"authorization": "Bearer tcn_\x00"},
        {"authorization": "Bearer", "x-api-key": "tcn_x"},
        {"x-api-key": ""},
    ],
)
def test_what_is_no_credential_is_refused(headers):
    with pytest.raises(NotAuthenticated):
        read_credential(headers)


async def test_a_token_opens_the_door_whatever_the_case_of_its_scheme(node):
    for scheme in ("Bearer", "bearer", "Token", "TOKEN"):
        answer = await node.get("", by=None, headers={"Authorization": f"{scheme} {node.tokens['rita']}"})
        assert answer.status_code == 200, scheme


async def test_basic_takes_the_token_as_password_of_its_own_party_only(node):
    for user, status in (("rita", 200), ("walt", 401), ("RITA", 401), ("", 401), ("nobody", 401)):
        header = f"Basic {basic(user, node.tokens['rita'])}"
        answer = await node.get("", by=None, headers={"Authorization": header})
        assert answer.status_code == status, user


async def test_an_api_key_header_opens_the_door(node):
    assert (await node.get("", by=None, headers={"X-API-Key": node.tokens["rita"]})).status_code == 200


async def test_without_a_valid_token_every_endpoint_says_401_how_to_authenticate_and_nothing_else(node):
    await node.post({"objects": [indicator(1)]})
    one = f"objects/{indicator(1)['id']}/"
    gets = ("/taxii2/", "/exchange/", "/exchange/collections/", "/exchange/status/x/", "", "manifest/", "changes/")
    requests = [("GET", path) for path in (*gets, "objects/", one, f"{one}versions/")]
    requests += [("POST", "objects/"), ("DELETE", one), ("GET", "/exchange/collections/no-such/objects/?limit=0")]
    bodies = set()
    for method, path in requests:
        for headers in ({}, {"Authorization": f"Bearer tcn_{'0' * 16}_{'A' * 43}"}, {"Authorization": "Basic !"}):
            answer = await node.get(path, by=None, method=method, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert 'Basic realm="tocsin"' in answer.headers["WWW-Authenticate"]
            assert "Bearer" in answer.headers["WWW-Authenticate"]
            bodies.add(answer.content)
    assert len(bodies) == 1
    assert (await node.get(one)).json()["objects"] == [indicator(1)]


async def test_a_failed_authentication_goes_before_every_other_fault_of_a_request(node):
    for headers in ({"Accept": "text/html"}, {"Content-Type": "text/plain"}):
        for method in ("GET", "POST"):
            answer = await node.get("objects/?limit=0", by=None, method=method, headers=headers)
            assert answer.status_code == 401, (method, headers)


async def test_a_revoked_token_is_refused_at_the_next_request(node):
    assert (await node.get("")).status_code == 200
    async with node.store.writing() as tx:
        await accounts.revoke_tokens(tx, node.parties["rita"], await tx.now())
    assert (await node.get("")).status_code == 401


async def test_of_two_valid_tokens_either_opens_the_door(node):
    async with node.store.writing() as tx:
        second = await accounts.make_token(tx, node.parties["rita"], await tx.now())
    for token in (second, node.tokens["rita"]):
        assert (await node.get("", by=None, headers={"Authorization": f"Bearer {token}"})).status_code == 200


async def test_a_suspended_party_is_told_so_and_gets_nothing(node):
    async with node.store.writing() as tx:
        await parties.set_suspended(tx, node.parties["rita"], True)
    answer = await node.get("objects/")
    assert answer.status_code == 403
    assert "suspended" in answer.json()["description"]


async def test_an_account_that_is_no_longer_configured_is_unknown(node):
    async with node.store.writing() as tx:
        former = (await parties.ensure_parties(tx, {"former": "account"}, {}, await tx.now()))["former"]
        token = await accounts.make_token(tx, former, await tx.now())
    assert (await node.get("", by=None, headers={"X-API-Key": token})).status_code == 401
