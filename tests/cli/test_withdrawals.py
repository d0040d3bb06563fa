"""`tocsin withdrawals`: who has answered, who is late, who cannot be told and what to write to him."""

import json

import pytest


@pytest.fixture
def withdrawn(stocked):
    """An incident that acme, a company with a contact, and beta, a node, were offered; and its id."""
    stocked.edit(
        "acme: {kind: company, country: EE}", "acme: {kind: company, country: EE, contact: soc@acme.example}"
    )
    stocked.edit(
        "peers: {}",
        "peers:\n  beta: {url: 'http://192.0.2.1/taxii2/', country: LV, contact: duty officer of Beta}",
    )
    stocked.edit("readers: [acme]", "readers: [acme, beta]")
    stocked.ok("apply", "--yes")
    done = stocked.lines("publish", "--waiting", "--yes", "--json")
    id_ = next(one["id"] for one in done if one["what"] == "redacted")
    stocked.ok("withdraw", id_, "--reason", "the victim asked", "--yes")
    return stocked, id_


def test_nothing_was_taken_back(stocked):
    assert "Everybody" in stocked.ok("withdrawals")


def test_each_recipient_is_shown_with_how_he_stands(withdrawn):
    node, id_ = withdrawn
    text = node.ok("withdrawals", id_)
    assert "the victim asked" in text
    assert "cannot be told: reads TAXII alone" in text
    assert "soc@acme.example" in text
    assert "never fetched it" in text


def test_who_has_not_answered_in_time_is_late_and_needs_a_person(withdrawn):
    node, id_ = withdrawn
    done = node("withdrawals", id_, "--late-after", "0")
    assert done.exit_code == 3
    assert "LATE" in done.stdout


def test_the_message_names_ids_and_versions_and_the_reason_only_if_asked(withdrawn):
    node, id_ = withdrawn
    plain = node.ok("withdrawals", id_, "--messages")
    assert "To acme, soc@acme.example:" in plain
    (notice,) = map(json.loads, node.ok("withdrawals", id_, "--json").splitlines())
    assert (notice["original"], notice["reason"]) == (id_, "the victim asked")
    assert f"- {notice['id']} (" in plain
    assert id_ not in plain
    acme = next(one for one in notice["recipients"] if one["name"] == "acme")
    assert notice["versions"][0] in acme["message"]
    assert "the victim asked" not in acme["message"]
    (told,) = map(json.loads, node.ok("withdrawals", id_, "--json", "--with-reason").splitlines())
    acme = next(one for one in told["recipients"] if one["name"] == "acme")
    assert "Reason: the victim asked" in acme["message"]


def test_status_counts_nobody_as_overdue_on_the_first_day(withdrawn):
    node, _ = withdrawn
    (status,) = node.lines("status", "--json")
    assert status["overdue"] == 0


def test_apply_says_who_can_no_longer_be_told_when_he_is_taken_out_of_the_file(withdrawn):
    node, _ = withdrawn
    settings = node.home / "tocsin.yaml"
    text = settings.read_text()
    kept = [line for line in text.replace("[acme, beta]", "[acme]").splitlines() if not line.startswith("  beta:")]
    settings.write_text("\n".join(kept).replace("peers:\n", "peers: {}\n"))
    shown = " ".join(node("apply").output.split())
    assert "beta still holds" in shown
    assert "can no longer be told of withdrawals: keep it in the file without collections" in shown
    settings.write_text(text.replace("[acme, beta]", "[acme]"))
    assert "can no longer be told" not in node("apply").output
