"""VERIS: records in the form of the VERIS community database, made from a number. All of it is invented."""

import json
import random
from collections.abc import Iterator
from typing import Any

_INDUSTRIES = ("622110", "524113", "221122", "611310", "923110", "541512", "445110", "481111")
_COUNTRIES = ("EE", "LV", "LT", "FI", "SE", "PL", "DE", "FR")
_SIZES = ("1 to 10", "11 to 100", "101 to 1000", "1001 to 10000", "Unknown")
_ACTIONS: tuple[dict[str, Any], ...] = (
    {"malware": {"variety": ["Ransomware"], "vector": ["Email attachment"]}},
    {"hacking": {"variety": ["Exploit vuln"], "vector": ["Web application"]}},
    {"hacking": {"variety": ["DoS"], "vector": ["Unknown"]}},
    {"social": {"variety": ["Phishing"], "vector": ["Email"], "target": ["End-user"]}},
    {"error": {"variety": ["Misconfiguration"], "vector": ["Carelessness"]}},
    {"misuse": {"variety": ["Privilege abuse"], "vector": ["LAN access"]}},
    {
        "malware": {"variety": ["Ransomware"], "vector": ["Direct install"]},
        "hacking": {"variety": ["Use of stolen creds"], "vector": ["Desktop sharing software"]},
    },
)
_ACTORS: tuple[dict[str, Any], ...] = (
    {"external": {"variety": ["Organized crime"], "motive": ["Financial"], "country": ["Unknown"]}},
    {"external": {"variety": ["Activist"], "motive": ["Ideology"], "country": ["Unknown"]}},
    {"external": {"variety": ["Unknown"], "motive": ["Unknown"], "country": ["Unknown"]}},
    {"internal": {"variety": ["End-user"], "motive": ["Unknown"]}},
)
_ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {"availability": {"variety": ["Obscuration", "Interruption"], "duration": {"unit": "Days", "value": 4}}},
    {"availability": {"variety": ["Loss", "Interruption"]}},
    {"confidentiality": {"data_disclosure": "Yes", "data_total": 1200, "data": [{"variety": "Personal"}]}},
    {"confidentiality": {"data_disclosure": "Potentially", "data": [{"variety": "Medical"}]}},
    {
        "integrity": {"variety": ["Software installation", "Alter behavior"]},
        "confidentiality": {"data_disclosure": "Potentially", "data": [{"variety": "Credentials"}]},
    },
)
_ASSETS = ("S - Web application", "S - File", "U - Desktop", "S - Mail", "S - Database", "P - End-user")


def records(first: int, count: int) -> Iterator[bytes]:
    """Records from a number on, a JSON object each; the same number gives the same record."""
    for number in range(first, first + count):
        yield json.dumps(record(number)).encode()


def record(number: int) -> dict[str, Any]:
    """One record."""
    drawn = random.Random(number)
    year, month = drawn.randint(2018, 2025), drawn.randint(1, 12)
    return {
        "schema_version": "1.3.7",
        "incident_id": f"BENCH-{number}",
        "security_incident": drawn.choice(("Confirmed", "Confirmed", "Confirmed", "Suspected")),
        "confidence": drawn.choice(("High", "Medium")),
        "summary": f"Invented incident {number}: " + " ".join(drawn.choices(_ASSETS, k=12)),
        "action": drawn.choice(_ACTIONS),
        "actor": drawn.choice(_ACTORS),
        "asset": {"assets": [{"variety": one} for one in drawn.sample(_ASSETS, drawn.randint(1, 3))]},
        "attribute": drawn.choice(_ATTRIBUTES),
        "victim": {
            "victim_id": f"Invented organisation {number}",
            "industry": drawn.choice(_INDUSTRIES),
            "country": [drawn.choice(_COUNTRIES)],
            "employee_count": drawn.choice(_SIZES),
        },
        "discovery_method": {"internal": {"variety": ["Reported by employee"]}},
        "timeline": {"incident": {"year": year, "month": month}, "discovery": {"unit": "Days", "value": 3}},
        "plus": {"master_id": f"BENCH-{number}", "analyst": "nobody", "created": "2025-06-01T12:00:00Z"},
    }
