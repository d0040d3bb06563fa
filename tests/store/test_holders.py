"""Whose a token is, by one question: the same as in a transaction, and never for a token that is not valid."""

import pytest

from samples import NOW, make_collection
from tocsin.store import accounts, configuration, parties


@pytest.fixture
async def token(store):
    async with store.writing() as tx:
        people = await parties.ensure_parties(tx, {"acme": "account", "other": "peer"}, {}, NOW)
        await accounts.make_token(tx, people["other"], NOW)
        return await accounts.make_token(tx, people["acme"], NOW)


async def _apply(store, sha256):
    async with store.writing() as tx:
        await configuration.apply(tx, {"tocsin.yaml": sha256}, sha256, NOW)


async def test_a_holder_is_who_a_transaction_finds_with_what_his_rights_rest_on(store, token):
    await _apply(store, "a" * 64)
    for keys in ([], ["first"], ["first", "second"]):
        async with store.writing() as tx:
            ids = {key: await make_collection(tx, key) for key in keys}
        await _apply(store, f"{len(keys)}" * 64)
        await accounts.glance_at_holder(store, token)  # PostgreSQL's first connection is opened here
        before = await store.moment()
        found = await accounts.glance_at_holder(store, token)
        assert found is not None
        holder, moment = found
        assert moment == before
        async with store.reading() as tx:
            assert holder.party == await accounts.verify_token(tx, token)
        assert holder.configuration_sha256 == f"{len(keys)}" * 64
        assert holder.collections == ids


async def test_a_suspended_party_is_known_as_suspended(store, token):
    await _apply(store, "a" * 64)
    async with store.writing() as tx:
        party = await accounts.verify_token(tx, token)
        await parties.set_suspended(tx, party.id, True)
    found = await accounts.glance_at_holder(store, token)
    assert found is not None
    assert found[0].party.suspended is True


async def test_nobody_holds_a_token_that_is_not_valid(store, token):
    assert await accounts.glance_at_holder(store, token) is None  # nothing is in force yet
    await _apply(store, "a" * 64)
    assert await accounts.glance_at_holder(store, token) is not None
    start, _, secret = token.rpartition("_")
    swapped = secret[::-1] if secret[::-1] != secret else "A" * len(secret)
    for wrong in (
        "",
        "tcn_",
        start,
        f"{start}_{swapped}",
        token.upper(),
        f"tcn_{'0' * 16}_{secret}",
        token + "\n",
    ):
        assert await accounts.glance_at_holder(store, wrong) is None, wrong
    async with store.writing() as tx:
        party = await accounts.verify_token(tx, token)
        await accounts.revoke_tokens(tx, party.id, NOW)
    assert await accounts.glance_at_holder(store, token) is None
