"""Three nodes: alpha makes, gamma passes on, beta reads."""

from contextlib import AsyncExitStack

import pytest_asyncio

from neighbours import EFFECTS_ALONE, a_peer, introduce, listening, neighbour


@pytest_asyncio.fixture
async def chain(tmp_path, make_database):
    """Alpha offers `regional` (no near misses) to both; gamma offers all that it holds to beta as `passed-on`."""
    async with AsyncExitStack() as stack:
        alpha, beta, gamma = [
            await stack.enter_async_context(neighbour(name, tmp_path / name, make_database("sqlite")))
            for name in ("Alpha", "Beta", "Gamma")
        ]
        await alpha.apply(
            {
                "peers": {"beta": a_peer(beta.url), "gamma": a_peer(gamma.url)},
                "collections": {"regional": {"readers": ["beta", "gamma"]}},
            },
            regional=EFFECTS_ALONE,
        )
        await gamma.apply(
            {
                "peers": {"beta": a_peer(beta.url, "back"), "alpha": a_peer(alpha.url, "regional")},
                "collections": {"passed-on": {"readers": ["beta"]}},
            }
        )
        await beta.apply(
            {
                "accounts": {"acme": {"kind": "company"}},
                "peers": {"alpha": a_peer(alpha.url, "regional"), "gamma": a_peer(gamma.url, "passed-on")},
                "collections": {"onward": {"readers": ["acme"]}, "back": {"readers": ["gamma"]}},
            }
        )
        await introduce(gamma, alpha, "alpha", "gamma")
        await introduce(beta, alpha, "alpha", "beta")
        await introduce(beta, gamma, "gamma", "beta")
        await introduce(gamma, beta, "beta", "gamma")
        for node in (alpha, beta, gamma):
            await stack.enter_async_context(listening(node))
        yield alpha, gamma, beta
