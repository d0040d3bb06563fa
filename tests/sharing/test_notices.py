"""Everyone who was offered what is taken back has answered, is waited for, or cannot be told: exactly one."""

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from tocsin.policy.configuration import read_configuration
from tocsin.sharing.notices import Said, account, granted_to, late, read_notices, take_answers, was_shown
from tocsin.stix.objects import make_object
from tocsin.store import acknowledgements, configuration, grants, objects, pages, parties, releases
from tocsin.store.acknowledgements import Shown, Taking
from tocsin.store.releases import Entry

LOG = "3f0c4d5e-7a11-4c1e-9b0d-000000000001"
NAMES = ("ann", "ben", "cat", "dan")  # ben and dan read changes; dan is taken out of the file at the end
HOW = ("acknowledged", "waiting", "cannot be told")


def files(names, readers):
    settings = {
        "node": {"name": "Alpha"},
        "accounts": {name: {"kind": "company"} for name in names},
        "collections": {"log": {"id": LOG, "title": "Log", "readers": list(readers), "policy": "open"}},
    }
    return {
        "tocsin.yaml": json.dumps(settings),
        "policies/open.yaml": "rules: [{id: any, match: {origin: any}, then: allow, reason: any}]",
    }


def an_object(number, version, content=""):
    return make_object(
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
            "created": "2025-03-01T00:00:00.000Z",
            "modified": f"2025-03-{version:02d}T00:00:00.000Z",
            "name": f"indicator {number}{content}",
            "pattern": "[ipv4-addr:value = '192.0.2.1']",
            "pattern_type": "stix",
            "valid_from": "2025-03-01T00:00:00Z",
        }
    )


@dataclass
class Plainly:
    """The same, written down as it happens: who may hold what, and whom a taking back concerns."""

    readers: set = field(default_factory=set)
    standing: dict = field(default_factory=dict)  # (id, version) → sha256
    may_hold: dict = field(default_factory=lambda: defaultdict(set))  # name → {(id, version, sha256)}
    ever: dict = field(default_factory=lambda: defaultdict(set))  # name → {id}
    concerns: dict = field(default_factory=dict)  # position → names

    def look(self):
        for name in self.readers:
            self.may_hold[name] |= {(*key, sha256) for key, sha256 in self.standing.items()}
            self.ever[name] |= {id_ for id_, _ in self.standing}

    def withdrawn(self, position, id_, version):
        sha256 = self.standing.pop((id_, version))
        self.concerns[position] = {name for name in NAMES if (id_, version, sha256) in self.may_hold[name]}
        for held in self.may_hold.values():
            held -= {one for one in held if one[:2] == (id_, version)}


@pytest.mark.parametrize("seed", range(6))
async def test_each_recipient_is_in_exactly_one_state_and_nobody_is_forgotten(store, seed):
    dice = random.Random(f"notices {seed}")
    plain = Plainly()
    async with store.writing() as tx:
        now = await tx.now()
        people = await parties.ensure_parties(tx, dict.fromkeys(NAMES, "account"), {}, now)
        await releases.ensure_collections(tx, {"log": LOG}, {}, now)
    for _ in range(60):
        async with store.writing() as tx:
            await _one_step(tx, dice, plain, people)
        plain.look()
    told = read_configuration(files(NAMES[:3], plain.readers - {"dan"}))
    async with store.writing() as tx:
        now = await tx.now()
        await configuration.apply(tx, dict(told.files), told.sha256, now)
        for name in ("ben", "dan"):
            await acknowledgements.note_reads_changes(tx, people[name], LOG, now)
        answered = await _answer_some(tx, dice, told, plain, people)
    async with store.reading() as tx:
        notices = await account(tx, told)
        states = defaultdict(list)
        for notice in notices:
            for one in notice.recipients:
                for taking in notice.takings:
                    if one.name in plain.concerns[taking.position]:
                        states[taking.position, one.name].append((one.how, notice))
        expected = {(position, name) for position, names in plain.concerns.items() for name in names}
        assert set(states) == expected
        assert all(len(found) == 1 and found[0][0] in HOW for found in states.values())
        for (_, name), ((how, notice),) in states.items():
            here = [taking.position for taking in notice.takings if name in plain.concerns[taking.position]]
            if all((name, at) in answered for at in here):
                assert how == "acknowledged"
            else:
                assert how == ("waiting" if name == "ben" else "cannot be told")
        assert len(expected) > 5
        await _check_the_count(tx, told)
        await _check_against_the_feed(tx, plain, people, answered)


async def _check_the_count(tx, told):
    """What is late is counted without the account, and is the same number."""
    for late_after in (-1, 0, 3600 * 1_000_000):
        notices = await account(tx, told, late_after=late_after)
        counted = await late(tx, told, late_after=late_after)
        assert counted.objects == sum(notice.late for notice in notices)
        assert counted.by_party == Counter(
            one.party_id for notice in notices for one in notice.recipients if one.late
        )
        assert (counted.objects > 0) == (late_after <= 0)


async def _one_step(tx, dice, plain, people):
    now, id_number, version = await tx.now(), dice.randrange(4), dice.randrange(1, 4)
    match dice.choice(["put", "put", "put", "withdraw", "withdraw", "grants"]):
        case "put":
            made = an_object(id_number, version, dice.choice(["", "", " again"]))
            stored = await objects.add_version(tx, made, received=now)
            await objects.set_word(tx, stored.seq, "", "", "put", authentic=True, hops=0, at=now)
            entry = Entry("put", made.id, made.type, stored.seq, stored.version_key, "whole", 0)
            await releases.append(tx, LOG, [entry], "sha", now)
            plain.standing[made.id, stored.version_key] = made.sha256
        case "withdraw" if plain.standing:
            id_ = dice.choice(sorted({id_ for id_, _ in plain.standing}))
            key = dice.choice([None, *sorted(key for one, key in plain.standing if one == id_)])
            entry = Entry("withdraw", id_, "indicator", None, key, "whole", 0)
            for line in await releases.append(tx, LOG, [entry], "sha", now):
                if line.op == "withdraw":
                    plain.withdrawn(line.position, id_, line.version_key)
        case "grants":
            plain.readers = {name for name in NAMES if dice.random() < 0.5}
            await grants.set_grants(tx, {(people[name], LOG, "reader") for name in plain.readers}, now)


async def _answer_some(tx, dice, told, plain, people):
    answered = set()
    takings = {one.position: one for one in await acknowledgements.takings(tx, LOG)}
    assert set(takings) == set(plain.concerns)
    for party in await parties.parties(tx):
        some = [position for position in plain.concerns if dice.random() < 0.4]
        said = [Said(position, takings[position].object_id, "purged", "", 0) for position in some]
        taken = await take_answers(tx, told, LOG, party, said, await tx.now())
        # exactly what concerns him is taken; the rest is as if it were not there
        assert {one.position for one in taken} == {at for at in some if party.name in plain.concerns[at]}
        answered |= {(party.name, one.position) for one in taken}
    return answered


async def _check_against_the_feed(tx, plain, people, answered):
    """The changes feed tells readers by the same rule; a former reader until he has answered."""
    for name, party_id in people.items():
        granted = await granted_to(tx, party_id, LOG)
        feed = (await pages.changes(tx, LOG, 0, 1000, granted=granted)).rows
        concerns = {at for at, names in plain.concerns.items() if name in names}
        assert {row.position for row in feed if row.op == "withdraw"} == concerns
        notices = (await read_notices(tx, LOG, party_id, 0, 1000)).rows
        assert {row.position for row in notices} == {at for at in concerns if (name, at) not in answered}


# --- who was shown what --------------------------------------------------------------------------------------


def taking(position, op="withdraw", key="v1", seq=1):
    return Taking(LOG, position, op, "x", "indicator", key, key, seq, "2.1", "", "whole", 0, 0)


def entry(position, op="put", key="v1", seq=1):
    return Shown(position, op, "x", key, seq, current=False)


CASES = [
    ("a grant from the start", [entry(10), entry(30, "withdraw")], [(0, None)], True),
    ("given after it went", [entry(10), entry(30, "withdraw")], [(30, None)], False),
    ("given while it stood", [entry(10), entry(30, "withdraw")], [(20, None)], True),
    ("ended before it came", [entry(10), entry(30, "withdraw")], [(0, 9)], False),
    ("ended at its very position", [entry(10), entry(30, "withdraw")], [(0, 10)], True),
    ("no grant", [entry(10), entry(30, "withdraw")], [], False),
    ("between two grants", [entry(10), entry(30, "withdraw")], [(0, 5), (30, None)], False),
    ("another content stood then", [entry(5, seq=2), entry(10), entry(30, "withdraw")], [(0, 7)], False),
    ("it went and came again", [entry(5), entry(7, "withdraw"), entry(9), entry(30, "withdraw")], [(0, 6)], False),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "granted", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_who_was_shown_what_is_withdrawn(entries, granted, expected):
    assert was_shown(taking(30), entries, granted) is expected


def test_a_revocation_concerns_whoever_had_any_version():
    entries = [entry(5), entry(7, "withdraw"), entry(10, key="v2", seq=2), entry(30, "revoke", "v3", 3)]
    revocation = taking(30, "revoke", "v3", 3)
    assert was_shown(revocation, entries, [(0, 6)])
    assert was_shown(revocation, entries, [(20, None)])
    assert was_shown(revocation, entries, [(30, None)])  # the version before still stands beside it
    assert not was_shown(revocation, entries[:2], [(30, None)])
