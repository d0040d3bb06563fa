"""Translate: the mappings and the order in which evidence is weighed, case by case. All records are invented."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.errors import BadFile
from tocsin.intake.formats import FORMATS, SourceRecord, read_paths
from tocsin.intake.mapping import load_mapping, read_mapping
from tocsin.intake.translate import Translation, assessed_findings, classification, translate
from tocsin.stix.effects import NIS2_SECTORS, Answers
from tocsin.stix.markings import Tlp

VERIS = load_mapping("veris")
CSV = load_mapping("csv")

MESSAGE = "message-manipulation"
EXTERNAL = "external-denial-of-service"
INTERNAL = "internal-denial-of-service"
DATA = "data-attack"
PHYSICAL = "physical-attack"
SENSORS = "exploitation-of-sensors"
HOSTS = "exploitation-of-end-hosts"
NETWORK = "exploitation-of-network-infrastructure"
SERVER = "exploitation-of-application-server"
TRANSIT = "exploitation-of-data-in-transit"


def veris(
    actions: Mapping[str, str],
    assets: str = "Unknown",
    *,
    disclosed: str = "",
    integrity: str = "",
    availability: str = "",
    **more: Any,
) -> Translation:
    """A record from words: `{"hacking": "DoS | Web application"}` (varieties | vectors); `;` between several."""
    attribute: dict[str, Any] = {}
    if disclosed:
        attribute["confidentiality"] = {"data_disclosure": disclosed} | more.pop("confidentiality", {})
    for name, words in (("integrity", integrity), ("availability", availability)):
        if words:
            attribute[name] = {"variety": _words(words)}
    value = {
        "action": {name: _action(words) for name, words in actions.items()},
        "asset": {"assets": [{"variety": asset} for asset in _words(assets)]} | more.pop("asset", {}),
        "attribute": attribute,
        "security_incident": more.pop("security_incident", "Confirmed"),
        **more,
    }
    return translate(SourceRecord("r-1", value, b"{}", "x.json:1"), VERIS)


def _action(words: str) -> dict[str, Any]:
    if not words:
        return {}
    variety, _, vector = words.partition("|")
    return {"variety": _words(variety)} | ({"vector": _words(vector)} if vector else {})


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(";")]


def effects(found: Translation) -> list[str]:
    return [effect.effect for effect in found.findings.effects]


def external(variety: str, motive: str = "Unknown") -> dict[str, Any]:
    return {"external": {"variety": _words(variety), "motive": _words(motive)}}


# actions, assets, (disclosed, integrity, availability) → type, effects
CASES = [
    # 1. no hostile action is no cyber event
    ({"error": "Misconfiguration"}, "S - Database", ("Yes", "", ""), "not-cyber", []),
    ({"environmental": "Fire"}, "S - Unknown", ("", "", "Destruction"), "not-cyber", []),
    ({"error": "Loss", "physical": "Theft"}, "U - Laptop", ("Potentially", "", "Loss"), "not-cyber", []),
    ({"physical": "Theft"}, "M - Documents", ("Yes", "", "Loss"), "not-cyber", []),
    ({"physical": "Destruction"}, "S - Unknown; N - Unknown", ("", "", "Destruction"), "not-cyber", []),
    (
        {"misuse": "Data mishandling", "physical": "Theft"},
        "M - Flash drive",
        ("Potentially", "", ""),
        "not-cyber",
        [],
    ),
    ({"misuse": "Possession abuse | Physical access"}, "M - Documents", ("Yes", "", ""), "not-cyber", []),
    ({"social": "Pretexting | Phone"}, "P - Call center", ("Yes", "", ""), "not-cyber", []),
    # 2. the variety decides what was disrupted
    ({"hacking": "DoS"}, "S - Web application", ("", "", "Interruption"), "disruptive", [EXTERNAL]),
    ({"malware": "Ransomware"}, "U - Desktop", ("", "Software installation", ""), "disruptive", [DATA]),
    (
        {"malware": "Ransomware"},
        "S - File",
        ("", "Software installation", "Obscuration; Interruption"),
        "disruptive",
        [DATA],
    ),
    ({"malware": "Ransomware"}, "S - File", ("Potentially", "Modify data", "Obscuration"), "disruptive", [DATA]),
    ({"malware": "Destroy data"}, "U - Desktop", ("", "Modify data", ""), "disruptive", [DATA]),
    (
        {"hacking": "Unknown"},
        "S - Web application",
        ("Potentially", "Defacement", "Loss"),
        "disruptive",
        [MESSAGE],
    ),
    (
        {"hacking": "Unknown"},
        "S - Web application",
        ("No", "Defacement; Modify data", ""),
        "disruptive",
        [MESSAGE],
    ),
    (
        {"hacking": "Use of stolen creds"},
        "S - Web application",
        ("", "Misrepresentation", ""),
        "disruptive",
        [MESSAGE],
    ),
    ({"hacking": "SQLi"}, "S - Database", ("", "Modify data", ""), "disruptive", [DATA]),
    ({"misuse": "Privilege abuse"}, "S - Unknown", ("", "", "Destruction"), "disruptive", [DATA]),
    ({"malware": "Worm"}, "S - Unknown", ("", "Software installation", "Degradation"), "disruptive", [INTERNAL]),
    ({"malware": "DoS"}, "S - Web application", ("", "", "Interruption"), "disruptive", [EXTERNAL]),
    ({"hacking": "Exploit vuln"}, "N - PLC", ("", "", "Destruction"), "disruptive", [PHYSICAL]),
    ({"malware": "Unknown"}, "S - ICS", ("", "Software installation", "Degradation"), "disruptive", [PHYSICAL]),
    # 3. what was disclosed, and where it was
    (
        {"malware": "RAM scraper"},
        "S - POS controller",
        ("Yes", "Software installation", ""),
        "exploitive",
        [SENSORS],
    ),
    ({"physical": "Skimmer"}, "T - ATM", ("Potentially", "Hardware tampering", ""), "exploitive", [SENSORS]),
    ({"physical": "Tampering"}, "T - PED pad", ("Yes", "Hardware tampering", ""), "exploitive", [SENSORS]),
    ({"misuse": "Possession abuse"}, "M - Payment card", ("Yes", "", ""), "exploitive", [SENSORS]),
    ({"social": "Phishing | Email"}, "P - Human resources", ("Yes", "Alter behavior", ""), "exploitive", [HOSTS]),
    ({"malware": "Spyware/Keylogger"}, "U - Desktop; S - Unknown", ("Yes", "", ""), "exploitive", [HOSTS]),
    ({"hacking": "Unknown"}, "N - Router or switch", ("Yes", "", ""), "exploitive", [NETWORK]),
    ({"hacking": "Unknown"}, "N - Firewall; S - Database", ("Yes", "", ""), "exploitive", [SERVER]),
    ({"hacking": "SQLi | Web application"}, "Unknown", ("Yes", "", "Loss"), "exploitive", [SERVER]),
    ({"hacking": "AitM"}, "S - Web application", ("Yes", "", ""), "exploitive", [TRANSIT]),
    ({"physical": "Wiretapping"}, "N - LAN", ("Yes", "", ""), "exploitive", [TRANSIT]),
    ({"malware": "Packet sniffer; Export data"}, "U - Laptop", ("Yes", "", ""), "exploitive", [HOSTS, TRANSIT]),
    ({"misuse": "Privilege abuse | LAN access"}, "S - Database", ("Yes", "", ""), "exploitive", [SERVER]),
    ({"hacking": "Unknown"}, "Unknown", ("Yes", "", ""), "exploitive", []),
    # 4. mixed only with two independent grounds
    ({"hacking": "Unknown"}, "S - Web application", ("Yes", "Defacement", ""), "mixed", [MESSAGE, SERVER]),
    (
        {"hacking": "Use of stolen creds"},
        "S - Database",
        ("Yes", "Modify data", "Destruction"),
        "mixed",
        [DATA, SERVER],
    ),
    ({"malware": "Ransomware; Export data"}, "S - File", ("Yes", "", "Obscuration"), "mixed", [DATA, SERVER]),
    ({"hacking": "Unknown"}, "S - Database", ("Yes", "", "Interruption"), "exploitive", [SERVER]),
    ({"hacking": "Unknown"}, "S - Database", ("Yes", "Log tampering", "Loss"), "exploitive", [SERVER]),
    # no effect
    ({"malware": "Backdoor; Trojan"}, "S - Web application", ("No", "Software installation", ""), "no-effect", []),
    ({"hacking": "Brute force"}, "S - Remote access", ("", "", ""), "no-effect", []),
    ({"social": "Phishing | Email"}, "P - End-user", ("", "", ""), "no-effect", []),
    ({"misuse": "Unapproved software"}, "U - Desktop", ("", "", ""), "no-effect", []),
    # nobody knows
    ({"unknown": ""}, "Unknown", ("Yes", "", ""), "undetermined", []),
    ({"hacking": "Unknown"}, "Unknown", ("", "Unknown", ""), "undetermined", []),
    ({"hacking": "Unknown"}, "S - Unknown", ("Unknown", "Software installation", ""), "undetermined", []),
]


@pytest.mark.parametrize(("actions", "assets", "attributes", "kind", "expected"), CASES)
def test_evidence_is_weighed_in_the_order_of_the_procedure(
    actions: dict[str, str], assets: str, attributes: tuple[str, str, str], kind: str, expected: list[str]
) -> None:
    disclosed, integrity, availability = attributes
    found = veris(actions, assets, disclosed=disclosed, integrity=integrity, availability=availability)
    assert (found.findings.effect_type, effects(found)) == (kind, expected)
    assert found.unmapped == ()


# --- the edge cases of formats 6, one each ---------------------------------------------------------------


def test_ransomware_with_disclosure_yes_where_only_encryption_is_told_is_a_data_attack_to_be_reviewed() -> None:
    found = veris({"malware": "Ransomware"}, "S - File", disclosed="Yes", availability="Obscuration")
    assert (found.findings.effect_type, effects(found)) == ("disruptive", [DATA])
    assert found.findings.exploitive_unknown
    assert "only the encryption is told" in (found.review_reason or "")


def test_ransomware_whose_narrative_tells_of_theft_is_mixed() -> None:
    told = "The gang encrypted the servers and published 80 GB of stolen files."
    found = veris({"malware": "Ransomware"}, "S - File", disclosed="Yes", summary=told)
    assert effects(found) == [DATA, SERVER]
    denied = veris(
        {"malware": "Ransomware"}, "S - File", disclosed="Yes", summary="No evidence that data was stolen."
    )
    assert effects(denied) == [DATA]


def test_a_victim_who_shuts_down_his_systems_suffers_no_second_denial_of_service() -> None:
    found = veris({"malware": "Ransomware"}, "S - File", availability="Interruption")
    assert effects(found) == [DATA]


def test_a_defacement_coded_as_denial_and_modified_data_is_recognised_by_its_site_and_told_text() -> None:
    text = "Attackers defaced the home page."
    found = veris({"malware": "DoS; Modify data"}, "S - Web application", integrity="Modify data", summary=text)
    assert effects(found) == [MESSAGE]


def test_spam_from_a_hijacked_mailbox_is_a_means_and_not_the_effect() -> None:
    found = veris(
        {"social": "Phishing | Email", "hacking": "Use of stolen creds"},
        "S - Mail; P - End-user",
        disclosed="Yes",
        integrity="Misrepresentation",
    )
    assert effects(found) == [SERVER]
    assert set(found.findings.means) == {"account-takeover", "phishing"}


def test_a_leak_that_is_only_claimed_is_exploitive_with_low_confidence_and_a_review() -> None:
    found = veris({"hacking": "Unknown"}, "S - Database", disclosed="Potentially")
    assert (effects(found), found.confidence, found.needs_review) == ([SERVER], 30, True)


def test_a_telephone_fault_by_force_majeure_is_not_cyber_although_an_external_actor_is_coded() -> None:
    found = veris(
        {"error": "Malfunction"}, "N - Telephone", availability="Interruption", actor=external("Force majeure")
    )
    assert found.findings.effect_type == "not-cyber"
    assert found.findings.root_cause == "system-failure"
    hacked = veris(
        {"hacking": "Unknown"}, "N - Telephone", availability="Interruption", actor=external("Force majeure")
    )
    assert hacked.findings.effect_type == "not-cyber"


def test_steel_works_are_a_physical_attack_also_when_the_motive_is_espionage() -> None:
    found = veris(
        {"hacking": "Unknown", "social": "Phishing | Email"},
        "S - ICS; P - Unknown",
        integrity="Alter behavior",
        availability="Destruction",
        actor=external("State-affiliated", "Espionage"),
    )
    assert effects(found) == [PHYSICAL]
    assert found.findings.motives == ("political-espionage",)


def test_a_panel_that_was_opened_and_not_touched_is_no_attack() -> None:
    found = veris({"physical": "Bypassed controls"}, "S - ICS", asset={"role": ["OT"]})
    assert found.findings.effect_type == "not-cyber"


def test_one_record_for_650_sites_counts_them_and_asks_for_a_review() -> None:
    found = veris(
        {"hacking": "Unknown"},
        "S - Web application",
        integrity="Defacement",
        victim={"victim_id": "Example Hosting", "secondary": {"amount": 649}},
    )
    assert found.findings.victim_count == 650
    assert "several victims" in (found.review_reason or "")


def test_a_card_issuer_who_tells_of_a_breached_shop_is_looked_at() -> None:
    found = veris(
        {"hacking": "Unknown"},
        "S - Database",
        disclosed="Yes",
        confidentiality={"data": [{"variety": "Payment"}]},
        victim={"industry": "522110"},
        summary="Cards of the bank's customers were taken at a merchant.",
    )
    assert "card issuer" in (found.review_reason or "")


def test_an_insider_with_rightful_access_is_less_sure_than_a_break_in() -> None:
    found = veris({"misuse": "Knowledge abuse | LAN access"}, "S - Database", disclosed="Yes")
    assert (effects(found), found.confidence, found.findings.means) == ([SERVER], 75, ("insider",))


def test_what_an_insider_only_handled_carelessly_was_exposed_and_not_taken() -> None:
    found = veris(
        {"misuse": "Data mishandling; Email misuse"},
        "S - Mail",
        disclosed="Potentially",
        actor={"internal": {"variety": ["End-user"], "motive": ["Convenience"]}},
    )
    assert (found.findings.effect_type, found.findings.stage) == ("no-effect", "exposure")


def test_effects_that_no_field_shows_leave_the_type_undetermined_and_ask_a_person() -> None:
    found = veris({"hacking": "Unknown", "unknown": ""}, "Unknown", availability="Unknown")
    assert (found.findings.effect_type, found.needs_review, found.confidence) == ("undetermined", True, 0)


def test_a_summary_split_into_incidents_asks_for_a_review() -> None:
    found = veris(
        {"hacking": "DoS"}, "S - DNS", availability="Interruption", summary="INCIDENT 1: … INCIDENT 2: …"
    )
    assert "several incidents" in (found.review_reason or "")


def test_the_country_of_an_actor_is_never_taken_for_the_victims() -> None:
    actor = {"external": {"variety": ["Unknown"], "country": ["RU"]}}
    found = veris({"hacking": "DoS"}, "S - DNS", actor=actor, victim={"country": ["EE"]})
    assert found.findings.countries == ("EE",)
    assert "RU" not in str(found.as_value())


def test_what_is_only_suspected_is_not_told_as_an_effect_that_happened() -> None:
    found = veris({"hacking": "SQLi"}, "S - Database", disclosed="Yes", security_incident="Suspected")
    assert (found.findings.determination, found.findings.stage, found.confidence) == ("suspected", "unknown", 30)
    assert found.needs_review


def test_a_near_miss_has_no_effect_whatever_is_coded() -> None:
    found = veris({"hacking": "SQLi"}, "S - Database", disclosed="Yes", security_incident="Near miss")
    assert (found.findings.effect_type, found.findings.stage, effects(found)) == ("no-effect", "near-miss", [])


def test_a_false_positive_has_no_effect() -> None:
    found = veris({"malware": "Ransomware"}, "S - File", security_incident="False positive")
    assert (found.findings.effect_type, found.findings.determination) == ("no-effect", "false-positive")


def test_a_script_in_a_web_shop_copies_cards_at_the_customers_own_devices() -> None:
    found = veris(
        {"malware": "Capture app data"},
        "S - Web application",
        disclosed="Yes",
        confidentiality={"data": [{"variety": "Payment"}]},
    )
    assert (effects(found), found.confidence) == ([HOSTS], 70)


def test_a_site_that_an_activist_altered_was_made_to_speak() -> None:
    found = veris(
        {"hacking": "Unknown"}, "S - Web application", integrity="Modify data", actor=external("Activist")
    )
    assert effects(found) == [MESSAGE]


def test_stolen_power_is_a_denial_inside_with_low_confidence() -> None:
    found = veris({"malware": "Cryptocurrency mining"}, "S - VM host", integrity="Software installation")
    assert (effects(found), found.confidence, found.needs_review) == ([INTERNAL], 30, True)


# --- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "value", "fidelity"),
    [
        ({"year": 2013}, "2013", "year"),
        ({"year": 2013, "month": 4}, "2013-04", "month"),
        ({"year": 2013, "month": 4, "day": 5}, "2013-04-05", "day"),
        ({"year": 2013, "month": 2, "day": 30}, "2013-02", "month"),
        ({"year": 2013, "month": 13}, "2013", "year"),
        ({"year": 1971}, "1971", "year"),
    ],
)
def test_a_time_is_told_as_precisely_as_it_is_known(parts: dict[str, int], value: str, fidelity: str) -> None:
    found = veris({"hacking": "DoS"}, "S - DNS", timeline={"incident": parts})
    occurred = found.findings.times.occurred
    assert occurred is not None
    assert occurred.start is not None
    assert (occurred.start.value, occurred.start.fidelity) == (value, fidelity)


def test_an_impossible_date_is_listed_and_never_guessed() -> None:
    found = veris({"hacking": "DoS"}, "S - DNS", timeline={"incident": {"year": 16, "month": 7, "day": 2018}})
    assert found.findings.times.occurred is None
    assert [(entry.path, entry.value) for entry in found.unmapped] == [("timeline.incident.year", "0016-07-2018")]
    assert found.review_reason == "timeline.incident.year = '0016-07-2018' cannot be read as a date"


@pytest.mark.parametrize(
    ("parts", "value", "unmapped", "reviewed"),
    [
        ({"year": "late 2013"}, None, [("timeline.incident.year", "late 2013")], True),
        ({"year": "Unknown", "month": 3}, None, [], False),
        ({"year": 0}, None, [], False),
        ({"year": 2013, "month": "NA"}, "2013", [], False),
        ({"year": 2013, "month": 0, "day": 0}, "2013", [], False),
        # what is left of the date is sure: it is listed, and nobody need look
        ({"year": 2013, "month": "March"}, "2013", [("timeline.incident.month", "March")], False),
        ({"year": 2013, "month": 2, "day": 30}, "2013-02", [("timeline.incident.year", "2013-02-30")], False),
    ],
)
def test_only_a_date_of_which_nothing_can_be_read_asks_for_a_review(
    parts: dict[str, Any], value: str | None, unmapped: list[tuple[str, str]], reviewed: bool
) -> None:
    found = veris({"hacking": "DoS"}, "S - DNS", timeline={"incident": parts})
    occurred = found.findings.times.occurred
    assert (occurred.start.value if occurred and occurred.start else None) == value
    assert [(entry.path, entry.value) for entry in found.unmapped] == unmapped
    assert found.needs_review is reviewed


@pytest.mark.parametrize(
    ("industry", "sector", "sectors"),
    [
        ("522110", "52", ["naics:522110", "nis2:banking"]),
        ("92", "92", ["naics:92", "nis2:public-administration"]),
        ("221122", "22", ["naics:221122", "nis2:energy/electricity"]),
        ("611", "61", ["naics:611"]),
        ("000", None, []),
        ("Unknown", None, []),
    ],
)
def test_sectors_are_the_code_as_given_and_what_nis2_calls_it(
    industry: str, sector: str | None, sectors: list[str]
) -> None:
    printed = classification(veris({"hacking": "DoS"}, "S - DNS", victim={"industry": industry}), "incident--x")
    assert (printed["sector"], printed["sectors"]) == (sector, sectors)


def test_a_value_that_no_row_knows_is_listed_at_its_path_and_asks_for_a_review() -> None:
    found = veris({"hacking": "DoS; Mind reading"}, "S - DNS", victim={"industry": "ABC", "country": ["Atlantis"]})
    assert [(entry.path, entry.value) for entry in found.unmapped] == [
        ("action.hacking.variety[1]", "Mind reading"),
        ("victim.industry", "ABC"),
        ("victim.country[0]", "Atlantis"),
    ]
    assert found.review_reasons == (
        "the mapping does not know action.hacking.variety[1] = 'Mind reading'",
        "the mapping does not know victim.industry = 'ABC'",
        "the mapping does not know victim.country[0] = 'Atlantis'",
    )


def test_a_known_actor_and_motive_go_before_unknown_ones_beside_them() -> None:
    found = veris({"hacking": "DoS"}, "S - DNS", actor=external("Unknown; Organized crime", "Unknown; Financial"))
    assert (found.findings.actor_type, found.findings.motives) == ("criminal", ("financial",))


def test_a_competitor_spies_for_industry() -> None:
    found = veris({"hacking": "Unknown"}, "S - File", disclosed="Yes", actor=external("Competitor", "Espionage"))
    assert (found.findings.actor_type, found.findings.motives) == ("criminal", ("industrial-espionage",))


@pytest.mark.parametrize(
    "strange",
    [
        {"action": {"hacking": {"variety": "DoS"}}},
        {"action": {"hacking": ["DoS"]}},
        {"asset": {"assets": {"variety": "S - DNS"}}},
        {"asset": {"assets": [None, 7, "x"]}},
        {"timeline": {"incident": {"year": "soon", "month": None}}},
        {"victim": {"industry": 52, "country": "EE"}},
        {"summary": 7, "notes": ["a"]},
        {"attribute": {"confidentiality": {"data_disclosure": ["Yes"], "data": {"variety": "Payment"}}}},
        {"actor": {"unknown": {}}},
    ],
)
def test_a_record_of_another_shape_is_translated_as_far_as_it_goes(strange: dict[str, Any]) -> None:
    base: dict[str, Any] = {"action": {"malware": {"variety": ["Ransomware"]}}, "attribute": {}}
    found = translate(SourceRecord("r", base | strange, b"{}", "x:1"), VERIS)
    assert found.findings.effect_type in ("disruptive", "undetermined", "exploitive")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
PARTS = ("action", "actor", "asset", "attribute", "victim", "timeline", "plus", "summary", "security_incident")
INNER = (
    "hacking",
    "malware",
    "variety",
    "assets",
    "confidentiality",
    "data_disclosure",
    "incident",
    "year",
    "secondary",
)


@given(st.dictionaries(st.sampled_from(PARTS), st.dictionaries(st.sampled_from(INNER), JSON) | JSON))
@settings(max_examples=80, deadline=None)
def test_no_record_of_whatever_shape_makes_a_translation_fail(value: dict[str, Any]) -> None:
    found = translate(SourceRecord("r", value, b"{}", "x:1"), VERIS)
    assert 0 <= found.confidence <= 100
    assert found.as_value() == translate(SourceRecord("r", value, b"{}", "x:1"), VERIS).as_value()


def test_what_classify_prints_has_exactly_the_agreed_fields() -> None:
    printed = classification(veris({"hacking": "DoS"}, "S - DNS"), "incident--x")
    assert list(printed) == [
        "source_id",
        "incident_id",
        "effect_type",
        "stage",
        "categories",
        "means",
        "actor_type",
        "motives",
        "sector",
        "sectors",
        "countries",
        "confidence",
        "needs_review",
        "review_reason",
        "rules",
    ]
    assert "veris:action.hacking.variety/DoS" in printed["rules"]
    assert printed["needs_review"] is False
    assert printed["review_reason"] is None


def test_free_text_of_the_source_stays_here() -> None:
    found = veris({"hacking": "DoS"}, "S - DNS", summary="Secret story.", notes="More of it.")
    assert found.findings.description is None
    assert "Secret story" not in str(found.as_value())


def test_a_rule_that_fails_on_a_record_is_told_and_the_record_is_kept() -> None:
    text = """\
mapping: m
version: "1"
format: csv
description: d
read: {id: id}
rules:
  - {id: breaks, when: "i.missing == 1", effect: data-attack}
"""
    found = translate(SourceRecord("1", {"id": "1"}, b"", "t:2"), read_mapping(text, "m.yaml"))
    assert "the rule breaks could not be applied" in (found.review_reason or "")
    assert effects(found) == []


# --- a plain table ---------------------------------------------------------------------------------------


def row(**cells: str) -> Translation:
    return translate(SourceRecord("1", {"id": "1", **cells}, b"", "t.csv:2"), CSV)


@pytest.mark.parametrize(
    ("cells", "kind", "expected", "stage"),
    [
        ({"incident_type": "Ransomware"}, "disruptive", [DATA], "effect"),
        ({"incident_type": "double extortion"}, "mixed", [DATA, SERVER], "effect"),
        ({"incident_type": "ddos; defacement"}, "disruptive", [MESSAGE, EXTERNAL], "effect"),
        ({"incident_type": "data breach"}, "exploitive", [], "effect"),
        ({"incident_type": "phishing"}, "no-effect", [], "attempt"),
        ({"incident_type": "scan", "stage": "threat"}, "no-effect", [], "attempt"),
        ({"incident_type": "outage"}, "not-cyber", [], "unknown"),
        ({"incident_type": "other"}, "undetermined", [], "unknown"),
        ({"effects": "data-attack; exploitation-of-end-hosts"}, "mixed", [DATA, HOSTS], "effect"),
        ({"effects": "Physical Attack", "incident_type": "ransomware"}, "disruptive", [PHYSICAL], "effect"),
        ({"effects": "mixed"}, "mixed", [], "effect"),
        ({"effects": "not-cyber"}, "not-cyber", [], "unknown"),
        ({"effects": "data-attack", "stage": "near-miss"}, "no-effect", [], "near-miss"),
        ({"effects": "data-attack", "determination": "suspected"}, "disruptive", [DATA], "unknown"),
        ({}, "undetermined", [], "unknown"),
    ],
)
def test_a_row_of_a_plain_table_is_classified(
    cells: dict[str, str], kind: str, expected: list[str], stage: str
) -> None:
    found = row(**cells)
    assert (found.findings.effect_type, effects(found), found.findings.stage) == (kind, expected, stage)


def test_effects_that_the_source_states_are_reported_and_others_mapped() -> None:
    assert row(effects="data-attack").findings.effects[0].basis == "reported"
    assert row(incident_type="ransomware").findings.effects[0].basis == "mapped"
    assert row(effects="data-attack", confidence="low").confidence == 30


def test_one_ground_that_says_both_effect_and_none_is_looked_at() -> None:
    assert "both" in (row(effects="data-attack; no-effect").review_reason or "")


def test_values_of_a_table_are_normalised() -> None:
    found = row(
        occurred="2025-03-14 10:30",
        occurred_end="2025-03-13",
        detected="2025-03",
        reported="2025-03-15T10:00:00-05:00",
        country="Estonia; lv",
        sector="health; 522110",
        tlp="TLP:AMBER+STRICT",
        attacker_indicators="192.0.2[.]1; hxxp://bad.example/x",
        victim_indicators="nonsense",
        summary="Told to all.",
        persons_affected="12",
        victim="Example Hospital",
        reporter="CERT Example",
    )
    findings = found.findings
    assert findings.times.occurred is not None
    assert findings.times.occurred.start is not None
    assert (findings.times.occurred.start.value, findings.times.occurred.end) == ("2025-03-14T10:30Z", None)
    assert findings.times.detected is not None
    assert findings.times.detected.value == "2025-03"
    assert findings.times.known is not None
    assert findings.times.known.value == "2025-03-15T15:00:00Z"
    assert findings.countries == ("EE", "LV")
    assert findings.sectors == ("naics:522110", "naics:62", "nis2:health", "nis2:banking")
    assert found.tlp is Tlp.AMBER_STRICT
    assert [(one.value, one.side) for one in found.observables] == [
        ("192.0.2[.]1", "attacker"),
        ("hxxp://bad.example/x", "attacker"),
    ]
    assert findings.description == "Told to all."
    assert findings.persons_affected is not None
    assert findings.persons_affected.best == 12
    assert (found.victims, found.reporter) == (("Example Hospital",), "CERT Example")
    assert [(entry.path, entry.value) for entry in found.unmapped] == [
        ("occurred-end", "2025-03-13"),
        ("victim_indicators", "nonsense"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("detected", "last Monday", "detected = 'last Monday' cannot be read as a date"),
        ("occurred", "2025-02-30", "occurred = '2025-02-30' cannot be read as a date"),
        ("sector", "dragons", "the mapping does not know sector = 'dragons'"),
        ("country", "Atlantis", "the mapping does not know country = 'Atlantis'"),
        ("detected", "Unknown", ""),
        ("sector", "n/a", ""),
        ("country", "unknown", ""),
        ("country", "estonia", ""),
    ],
)
def test_a_date_sector_or_country_that_is_not_understood_asks_for_a_review(
    column: str, value: str, said: str
) -> None:
    found = row(effects="data-attack", **{column: value})
    assert (found.review_reason or "", found.needs_review) == (said, said != "")
    assert [(entry.path, entry.value) for entry in found.unmapped] == ([(column, value)] if said else [])


@pytest.mark.parametrize("sector", NIS2_SECTORS)
def test_a_plain_table_may_name_every_sector_in_the_words_of_nis2(sector: str) -> None:
    for written in (sector, sector.replace("-", " "), f"nis2:{sector}"):
        found = row(sector=written)
        assert f"nis2:{sector}" in found.findings.sectors
        assert found.unmapped == ()


def test_the_shipped_table_of_incidents_is_understood_to_the_last_value() -> None:
    file = Path(str(files("tocsin.cli.demo"))) / "samples" / "helpdesk.csv"
    for record in read_paths(FORMATS["csv"], [file], CSV.reading):
        assert isinstance(record, SourceRecord)
        assert translate(record, CSV).unmapped == ()


@pytest.mark.parametrize(
    ("form", "written", "value"),
    [
        ("DD.MM.YYYY", "14.03.2025", "2025-03-14"),
        ("DD.MM.YYYY", "4.3.2025", "2025-03-04"),
        ("DD.MM.YYYY", "03.2025", "2025-03"),
        ("DD.MM.YYYY", "2025", "2025"),
        ("DD.MM.YYYY", "14.03.2025 10:30", "2025-03-14T10:30Z"),
        ("DD.MM.YYYY", "14.03.2025, 10:30:05", "2025-03-14T10:30:05Z"),
        ("DD.MM.YYYY", "2025-03-14", "2025-03-14"),
        ("DD/MM/YYYY", "03/04/2025", "2025-04-03"),
        ("MM/DD/YYYY", "03/04/2025", "2025-03-04"),
        ("MM/DD/YYYY", "03/2025", "2025-03"),
        ("MM-DD-YYYY", "03-04-2025", "2025-03-04"),
        ("DD-MM-YYYY", "03-04-2025", "2025-04-03"),
        ("YYYY/MM/DD", "2025/3/14", "2025-03-14"),
        ("YYYY.MM.DD", "2025.03.14", "2025-03-14"),
        ("YYYY-MM-DD", "2025-03-14T10:30+02:00", "2025-03-14T08:30Z"),
        # never guessed: another order, another sign, two digits, a day that no calendar has
        ("DD.MM.YYYY", "03/04/2025", None),
        ("MM/DD/YYYY", "14/03/2025", None),
        ("DD.MM.YYYY", "30.02.2025", None),
        ("DD.MM.YYYY", "14.03.25", None),
        ("DD.MM.YYYY", "14.03.", None),
        ("DD.MM.YYYY", "٤.03.2025", None),
        ("DD.MM.YYYY", "14.03.2025 morning", None),
        ("YYYY-MM-DD", "14.03.2025", None),
    ],
)
def test_a_date_is_read_in_the_form_that_the_mapping_says(form: str, written: str, value: str | None) -> None:
    mapping = read_mapping(
        'mapping: m\nversion: "1"\nformat: csv\ndescription: ours\nread: {id: id}\n'
        f'values: {{detected: {{date: seen, form: "{form}"}}}}\n',
        "m.yaml",
    )
    found = translate(SourceRecord("1", {"id": "1", "seen": written}, b"", "t.csv:2"), mapping)
    detected = found.findings.times.detected
    assert (detected.value if detected else None) == value
    assert ([(entry.path, entry.value) for entry in found.unmapped] == [("seen", written)]) is (value is None)


def test_a_marking_that_is_not_understood_counts_as_red() -> None:
    found = row(tlp="purple")
    assert found.tlp is Tlp.RED
    assert found.needs_review


def test_a_column_that_nothing_reads_is_reported() -> None:
    assert [entry.path for entry in row(colour="blue", title="x").unmapped] == ["colour"]


# --- a person's word -------------------------------------------------------------------------------------


def test_a_person_replaces_effects_type_and_stage_and_nothing_else() -> None:
    before = veris(
        {"hacking": "Unknown"}, "S - Database", disclosed="Potentially", victim={"country": ["EE"]}
    ).findings
    answers = Answers(
        cyber_action="yes", effect_achieved="yes", data_changed="yes", places=frozenset({"end-host"})
    )
    after = assessed_findings(before, answers, "analyst", "CERT Example", datetime(2026, 1, 2, tzinfo=UTC))
    assert [(effect.effect, effect.confidence, effect.basis) for effect in after.effects] == [
        (DATA, 100, "assessed"),
        (HOSTS, 100, "assessed"),
    ]
    assert (after.effect_type, after.stage, after.countries) == ("mixed", "effect", ("EE",))
    assert after.classified is not None
    assert (after.classified.basis, after.classified.role, after.classified.at) == (
        "assessed",
        "analyst",
        "2026-01-02T00:00:00.000Z",
    )


@pytest.mark.parametrize(
    ("answers", "kind", "stage"),
    [
        (Answers(cyber_action="no"), "not-cyber", "unknown"),
        (Answers(cyber_action="yes", effect_achieved="no"), "no-effect", "unknown"),
        (Answers(), "undetermined", "unknown"),
    ],
)
def test_a_person_who_finds_no_effect_leaves_none(answers: Answers, kind: str, stage: str) -> None:
    before = veris({"hacking": "DoS"}, "S - DNS").findings
    after = assessed_findings(before, answers, "analyst", "CERT Example", datetime(2026, 1, 2, tzinfo=UTC))
    assert (after.effects, after.effect_type, after.stage) == ((), kind, stage)


def test_a_mapping_of_another_sign_is_refused_when_it_is_read_and_not_when_it_is_used() -> None:
    with pytest.raises(BadFile):
        read_mapping("mapping: m\nrules: [{id: x, if: y}]\n", "m.yaml")
