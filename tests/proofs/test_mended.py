"""What the proofs found once, and a story for each that a person can read."""

from scene import ALLOW_ANY, identity_of
from tocsin.store import releases

WRITES = {"writers": ["writer"], "readers": ["acme"]}
INCIDENTS_ONLY = "rules: [{id: incidents, match: {type: incident}, then: allow, reason: incidents alone}]"


async def test_what_a_collection_refuses_was_never_said_to_another(scene):
    await scene.apply({"a": WRITES, "b": WRITES}, {"a": INCIDENTS_ONLY, "b": ALLOW_ANY})
    value = identity_of("Delta")
    (told,) = await scene.post("writer", "a", value)
    assert told.outcome == "failure"
    assert value["id"] not in await scene.seen("b")
    async with scene.store.reading() as tx:
        history = await releases.history(tx, [value["id"]])
    assert not history


async def test_what_a_collection_takes_goes_where_others_hear_of_it(scene):
    await scene.apply({"a": WRITES, "b": WRITES}, {"a": ALLOW_ANY, "b": ALLOW_ANY})
    value = identity_of("Delta")
    (told,) = await scene.post("writer", "a", value)
    assert told.outcome == "success"
    assert value["id"] in await scene.seen("b")
