"""Parties are known by ids that outlive their names; a token is shown once and kept only as its hash."""

import pytest

from samples import NOW, keep
from tocsin.errors import NotFound, Refused
from tocsin.stix.objects import make_object
from tocsin.store import accounts, parties
from tocsin.store.names import moves
from tocsin.store.tables import token

IDENTITY = "identity--00000001-0000-4000-8000-000000000000"


async def _two(tx):
    found = await parties.ensure_parties(tx, {"acme": "account", "beta": "peer"}, {}, NOW)
    return found["acme"], found["beta"]


async def test_a_party_keeps_its_id_whatever_it_is_called(store):
    async with store.writing() as tx:
        acme, beta = await _two(tx)
        assert await parties.ensure_parties(tx, {"acme": "account"}, {}, NOW + 1) == {"acme": acme}
        renamed = await parties.ensure_parties(tx, {"emca": "account", "beta": "peer"}, {"emca": "acme"}, NOW + 2)
        assert renamed == {"emca": acme, "beta": beta}
        assert await parties.ensure_parties(tx, {"emca": "account"}, {"emca": "acme"}, NOW + 3) == {"emca": acme}
        assert (await parties.party_by_name(tx, "emca")).first_seen == NOW
        assert await parties.party_by_name(tx, "acme") is None
        assert (await parties.party_by_id(tx, beta)).name == "beta"
        assert await parties.party_by_id(tx, "nobody") is None


async def test_an_account_does_not_become_a_peer(store):
    async with store.writing() as tx:
        await _two(tx)
    with pytest.raises(Refused, match="'acme' is known here as an account: a peer needs another name"):
        async with store.writing() as tx:
            await parties.ensure_parties(tx, {"acme": "peer"}, {}, NOW)


@pytest.mark.parametrize(
    ("known", "renamed", "expected"),
    [
        ({"a"}, {"b": "a"}, {"a": "b"}),
        ({"b"}, {"b": "a"}, {}),  # done long ago
        ({"a", "b"}, {"b": "a"}, {}),  # the name is taken
        (set(), {"b": "a"}, {}),
        ({"a", "b"}, {"b": "a", "c": "b"}, {"a": "b", "b": "c"}),  # a chain
        ({"b", "c"}, {"b": "a", "c": "b"}, {}),  # the same chain, done
        ({"a", "b"}, {"a": "b", "b": "a"}, {}),  # neither gives way
        ({"a"}, {"a": "a"}, {}),
    ],
)
def test_which_names_move(known, renamed, expected):
    assert moves(known, renamed) == expected


async def test_an_identity_is_pinned_once_and_to_one_party(store):
    other = IDENTITY.replace("00000001", "00000002")
    ours = IDENTITY.replace("00000001", "00000003")
    async with store.writing() as tx:
        acme, beta = await _two(tx)
        await keep(tx, make_object({"type": "identity", "id": ours, "name": "us"}))
        await keep(tx, make_object({"type": "identity", "id": IDENTITY, "name": "beta"}), beta, "c")
        await parties.pin_identity(tx, beta, IDENTITY)
        await parties.pin_identity(tx, beta, IDENTITY)
        assert (await parties.party_by_id(tx, beta)).identity_id == IDENTITY
        for party, identity, why in (
            (beta, other, "speaks for"),
            (acme, IDENTITY, "which is beta's"),
            (acme, ours, "which this node made"),
        ):
            with pytest.raises(Refused, match=why):
                await parties.pin_identity(tx, party, identity)
        with pytest.raises(NotFound):
            await parties.pin_identity(tx, "nobody", other)


async def test_a_party_is_suspended_and_resumed(store):
    async with store.writing() as tx:
        acme, _ = await _two(tx)
        for state in (True, False):
            await parties.set_suspended(tx, acme, state)
            assert (await parties.party_by_id(tx, acme)).suspended is state
        with pytest.raises(NotFound):
            await parties.set_suspended(tx, "nobody", True)


# --- tokens --------------------------------------------------------------------------------------------------


async def test_a_token_says_whose_it_is_until_it_is_revoked(store):
    async with store.writing() as tx:
        acme, beta = await _two(tx)
        first, second = [await accounts.make_token(tx, acme, NOW + n) for n in (0, 1)]
        others = await accounts.make_token(tx, beta, NOW)
        with pytest.raises(Refused, match="tocsin account revoke acme"):
            await accounts.make_token(tx, acme, NOW + 2)
        for text in (first, second):
            assert (await accounts.verify_token(tx, text)).id == acme
        assert await accounts.revoke_tokens(tx, acme, NOW + 3) == 2
        assert await accounts.revoke_tokens(tx, acme, NOW + 4) == 0
        for text in (first, second):
            assert await accounts.verify_token(tx, text) is None
        assert (await accounts.verify_token(tx, others)).id == beta
        assert (await accounts.verify_token(tx, await accounts.make_token(tx, acme, NOW + 5))).id == acme
        told = [(t.party_id, t.created, t.revoked) for t in await accounts.tokens(tx)]
    assert sorted(told) == sorted(
        [
            (acme, NOW, NOW + 3),
            (acme, NOW + 1, NOW + 3),
            (beta, NOW, None),
            (acme, NOW + 5, None),
        ]
    )


async def test_a_token_has_the_shape_that_basic_and_headers_can_carry(store):
    async with store.writing() as tx:
        acme, _ = await _two(tx)
        made = await accounts.make_token(tx, acme, NOW)
        (row,) = (await tx.connection.execute(token.select())).all()
    kind, id_, secret = made.split("_", 2)
    assert (kind, len(id_), len(secret)) == ("tcn", 16, 43)
    assert ":" not in made
    assert made.isascii()
    for column in row:
        assert made not in str(column)
        assert secret not in str(column)
    assert len(row.sha256) == 32


async def test_what_is_no_valid_token_is_nobodys(store):
    async with store.writing() as tx:
        acme, _ = await _two(tx)
        made = await accounts.make_token(tx, acme, NOW)
        other = made[:-1] + ("A" if made[-1] != "A" else "B")
        unknown = f"tcn_{'0' * 16}_{made[-43:]}"
        for text in (
            "",
            "tcn__",
            made[:-1],
            made + "A",
            other,
            unknown,
            made.upper(),
            " " + made,
            "é" * 64,
            made + "\n",
        ):
            assert await accounts.verify_token(tx, text) is None, text
        with pytest.raises(NotFound):
            await accounts.make_token(tx, "nobody", NOW)
