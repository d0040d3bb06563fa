"""Markings in a collection: what is not understood stays out, and an officer is told which kind it is."""

import pytest

from scene import ALLOW_ANY, an_incident, identity_of
from tocsin.stix.markings import PAP, TLP1, TLP2, Tlp
from tocsin.stix.objects import make_object

IEP = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a"
ACS = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"
OWN = "marking-definition--0c1b2a39-4857-4665-8a7b-9c0d1e2f3a4b"
PAP_OF = {word: id_ for id_, word in PAP.items()}


def defined(**members):
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": OWN,
        "created": "2026-01-01T00:00:00.000Z",
        **members,
    }


IEP_DEFINITION = defined(
    extensions={
        IEP: {
            "extension_type": "property-extension",
            "encrypt_in_transit": "may",
            "permitted_actions": "none",
            "affected_party_notifications": "may",
            "tlp": "white",
            "provider_attribution": "may",
            "unmodified_resale": "may",
        }
    }
)
ACS_DEFINITION = defined(extensions={ACS: {"extension_type": "property-extension", "identifier": "isa:guide.1"}})
STATEMENT = defined(definition_type="statement", definition={"statement": "share as you like"})


async def offer(scene, refs, definition=None, **more):
    """What a peer says, bearing these markings, in a collection that takes anything up to amber."""
    await scene.apply({"c": {"readers": ["acme"], "clearance": "amber"}}, {"c": ALLOW_ANY})
    creator = identity_of("gamma")
    value = an_incident(scene.clock, creator=creator["id"], id="incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111")
    del value["object_marking_refs"]
    value |= ({"object_marking_refs": refs} if refs else {}) | more
    await scene.receive("gamma", creator, value, *([definition] if definition else []))
    return await scene.explain(value["id"], "c")


@pytest.mark.parametrize(
    ("refs", "definition", "rule", "said"),
    [
        ([], None, "unmarked", "it bears no TLP and counts as TLP:AMBER+STRICT"),
        ([PAP_OF["clear"]], None, "unmarked", "it bears no TLP and counts as TLP:AMBER+STRICT"),
        ([TLP2[Tlp.CLEAR], OWN], None, "marking", f"the marking {OWN} is not understood"),
        (
            [TLP2[Tlp.CLEAR], OWN],
            IEP_DEFINITION,
            "marking",
            "an Information Exchange Policy (IEP), is not",
        ),
        (
            [TLP2[Tlp.CLEAR], OWN],
            ACS_DEFINITION,
            "marking",
            "an Access Control Specification (ACS), is not",
        ),
        ([OWN], STATEMENT, "marking", f"{OWN}, a statement in words, for people, is not understood"),
        ([TLP1[Tlp.RED]], None, "clearance", "it is TLP:RED"),
        ([TLP2[Tlp.CLEAR], TLP2[Tlp.AMBER_STRICT]], None, "clearance", "it bears TLP:CLEAR and TLP:AMBER+STRICT"),
        ([TLP2[Tlp.CLEAR], TLP1[Tlp.RED]], None, "marking", "it bears TLP:CLEAR and TLP:RED"),
    ],
)
async def test_what_is_not_plainly_low_enough_stays_out_and_why_is_said(scene, refs, definition, rule, said):
    found = await offer(scene, refs, definition)
    assert (found.would, found.reasons[0].rule) == ("withheld", rule)
    assert said in found.reasons[0].text


async def test_granular_markings_are_named_as_what_they_are(scene):
    granular = [{"marking_ref": TLP2[Tlp.CLEAR], "selectors": ["name"]}]
    found = await offer(scene, [TLP2[Tlp.CLEAR]], granular_markings=granular)
    assert (found.would, found.reasons[0].rule) == ("withheld", "marking")
    assert "granular markings are not understood" in found.reasons[0].text


@pytest.mark.parametrize("pap", PAP)
async def test_a_pap_marking_goes_along_with_what_bears_it(scene, pap):
    found = await offer(scene, [TLP2[Tlp.GREEN], pap])
    assert found.stands == "whole"
    (seen,) = [value for id_, value in (await scene.seen("c")).items() if id_.startswith("incident--")]
    assert seen["object_marking_refs"] == [TLP2[Tlp.GREEN], pap]


RED_STAYS = """
rules:
  - {id: ours, match: {type: incident}, then: allow, reason: ours are shared}
  - {id: passive, match: {pap: [amber, red]}, then: deny, reason: what may not be acted upon stays here}
  - {id: short, match: {pap: white}, then: redact, redact: [attribution], reason: shortened}
"""


@pytest.mark.parametrize(
    ("pap", "stands"), [("red", None), ("amber", None), ("green", "whole"), ("clear", "redacted"), (None, "whole")]
)
async def test_rules_match_on_pap_and_a_copy_keeps_it(scene, pap, stands):
    await scene.apply({"c": {"readers": ["acme"], "release": "automatic"}}, {"c": RED_STAYS})
    value = dict(scene.incident().value)
    value["object_marking_refs"] = [TLP2[Tlp.GREEN], *([PAP_OF[pap]] if pap else [])]
    await scene.make((make_object(value), "incident"))
    assert (await scene.explain(value["id"], "c")).stands == stands
    for id_ in await scene.incidents_seen("c"):
        assert (await scene.seen("c"))[id_]["object_marking_refs"] == value["object_marking_refs"]


async def test_a_writer_is_not_told_which_definitions_are_here(scene):
    collections = {"c": {"readers": ["acme"], "writers": ["writer"], "clearance": "amber"}}
    await scene.apply(collections, {"c": ALLOW_ANY})
    value = an_incident(scene.clock, creator=identity_of("writer")["id"])
    value |= {"object_marking_refs": [OWN], "id": "incident--3a1f9c1e-0b3c-4f43-9c1c-111111111111"}
    (before,) = await scene.post("writer", "c", value)
    await scene.receive("gamma", IEP_DEFINITION)
    (after,) = await scene.post("writer", "c", value)
    assert (before.outcome, after.outcome, after.message) == ("failure", "failure", before.message)
    assert OWN in after.message
