"""The account of what was given to whom, as a person asks for it."""


def test_a_published_incident_is_accounted_for_and_one_that_waits_was_offered_to_nobody(stocked):
    id_ = stocked.lines("incidents", "--json")[0]["id"]
    assert "Nobody was ever offered it" in stocked.ok("disclosures", id_)
    assert stocked("publish", id_, "--yes").exit_code in (0, 1)
    told = stocked.lines("disclosures", id_, "--json")
    for one in told:
        assert (one["reader"], one["collection"], one["until"]) == ("acme", "shared", None)
        assert one["copy_of"] == id_
        assert one["omitted"]
    assert told
    assert "acme" in stocked.ok("disclosures", id_)
