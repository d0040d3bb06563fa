"""The limits of a node, as an operator lowers them in `tocsin.yaml`: what is above one is refused, and said."""

import asyncio
import re
import time
from dataclasses import astuple
from importlib import resources

import pytest

from taxii_node import SETTINGS, bring_into_force, domain, indicator, served
from tocsin.documents import read_document
from tocsin.errors import BadFile
from tocsin.policy.configuration import read_configuration
from tocsin.settings import LimitSettings, read_settings
from tocsin.stix.canonical import LIMITS
from tocsin.taxii.body import ALLOWANCE
from tocsin.taxii.client import Bounds
from tocsin.transport import PromptProtocol

NODE = "node: {name: CERT Alpha}\n"


def settings_with(text: str) -> LimitSettings:
    return read_settings(read_document(f"{NODE}limits:\n{text}", "tocsin.yaml")).limits


# --- as written ----------------------------------------------------------------------------------------------


def test_the_highest_limits_are_those_that_hold_where_none_is_written():
    limits = read_settings(read_document(NODE, "tocsin.yaml")).limits
    assert limits == LimitSettings()
    assert (limits.body, limits.objects, limits.object, limits.depth, limits.string) == astuple(LIMITS)
    assert ALLOWANCE.under(limits) == ALLOWANCE
    assert (limits.requests, limits.request) == (ALLOWANCE.party_requests, ALLOWANCE.body_seconds)
    assert Bounds().under(limits) == Bounds()
    assert (limits.deadline, limits.answer) == (Bounds().deadline, Bounds().body)
    assert (limits.header, limits.request) == (PromptProtocol.head_seconds, PromptProtocol.taking_seconds)


def test_the_file_that_init_writes_names_every_limit_with_its_highest_value():
    template = (resources.files("tocsin.cli") / "templates" / "tocsin.yaml").read_text("utf-8")
    shown = re.search(r"^# limits:\n(?:#   \S.*\n)+", template, re.MULTILINE)[0]
    document = read_document(NODE + re.sub(r"(?m)^# ", "", shown), "tocsin.yaml")
    assert set(document.value["limits"]) == set(LimitSettings.model_fields)
    assert read_settings(document).limits == LimitSettings()


def test_what_a_peer_may_cost_is_lowered_and_never_raised():
    lowered = settings_with("  deadline: 5s\n  answer: 1 MiB")
    assert Bounds().under(lowered) == Bounds(deadline=5, body=1024 * 1024)
    assert Bounds(deadline=2, body=100).under(lowered) == Bounds(deadline=2, body=100)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("body: 2 MiB", 2 * 1024 * 1024), ("body: 512 KiB", 512 * 1024), ("body: 2000", 2000), ("body: 1", 1)],
)
def test_a_size_is_written_in_words_or_bytes(written, meant):
    assert settings_with(f"  {written}").body == meant


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("body: 11 MiB", "limits.body: from 1 to 10 MiB: a limit can only be lowered"),
        ("body: 10485761", "limits.body: from 1 to 10 MiB: a limit can only be lowered"),
        ("body: 0", "limits.body: from 1 to 10 MiB"),
        ("body: -5", "limits.body: from 1 to 10 MiB"),
        ("body: 10 MB", "limits.body: a size such as 512 KiB, 8 MiB, or a number of bytes"),
        ("body: 1.5 MiB", "limits.body: a size such as"),
        ("body: 2.5", "limits.body: a size such as"),
        ("body: true", "limits.body: "),
        ("body: null", "limits.body: a size such as"),
        ("objects: 1001", "limits.objects: from 1 to 1000: a limit can only be lowered"),
        ("objects: '10'", "limits.objects: "),
        ("object: 2 MiB", "limits.object: from 1 to 1 MiB"),
        ("depth: 33", "limits.depth: from 1 to 32"),
        ("string: 257 KiB", "limits.string: from 1 to 256 KiB"),
        ("header: 11s", "limits.header: from 1 to 10s"),
        ("header: 0s", "limits.header: from 1 to 10s"),
        ("header: 5", "limits.header: a duration such as"),
        ("request: 2m", "limits.request: from 1 to 60s"),
        ("requests: 17", "limits.requests: from 1 to 16"),
        ("deadline: 3m", "limits.deadline: from 1 to 120s"),
        ("answer: 21 MiB", "limits.answer: from 1 to 20 MiB"),
        ("bodi: 10", "unknown key 'bodi'; did you mean 'body'?"),
    ],
)
def test_a_limit_that_cannot_be_is_told_with_its_line(written, said):
    with pytest.raises(BadFile) as why:
        settings_with(f"  depth: 8\n  {written}" if not written.startswith("depth") else f"\n  {written}")
    (problem,) = why.value.problems
    assert problem.place == "tocsin.yaml:4"
    assert problem.text.startswith(said)


# --- over HTTP -----------------------------------------------------------------------------------------------


def failures(answer) -> list[str]:
    return [one["message"] for one in answer.json().get("failures", [])]


async def test_a_body_above_the_lowered_limit_is_413_and_readers_are_told_which_it_is(store, tmp_path):
    async with served(store, tmp_path, limits={"body": "2 KiB"}) as node:
        assert (await node.get("/exchange/", by="walt")).json()["max_content_length"] == 2048
        large = await node.post({"objects": [indicator(1, description="x" * 2000)]})
        assert large.status_code == 413
        assert "2048" in large.json()["description"]
        assert (await node.post({"objects": [indicator(1)]})).status_code == 202


async def test_more_objects_than_the_lowered_limit_are_422(store, tmp_path):
    async with served(store, tmp_path, limits={"objects": 3}) as node:
        many = await node.post({"objects": [domain(number) for number in range(4)]})
        assert many.status_code == 422
        assert "at most 3" in many.json()["description"]
        assert (await node.post({"objects": [domain(number) for number in range(3)]})).json()["success_count"] == 3


@pytest.mark.parametrize(
    ("limits", "more", "said"),
    [
        ({"object": 1000}, {"description": "x" * 1000}, "an object may have 1000"),
        ({"depth": 4}, {"x_deep": [[[[]]]]}, "at most 4 levels"),
        ({"string": 200}, {"description": "x" * 201}, "above 200 bytes"),
        ({"string": "1 KiB"}, {"x" * 1025: 1}, "above 1024 bytes"),
    ],
)
async def test_an_object_above_a_lowered_limit_fails_and_its_neighbour_does_not(
    store, tmp_path, limits, more, said
):
    async with served(store, tmp_path, limits=limits) as node:
        answer = await node.post({"objects": [indicator(1, **more), indicator(2)]})
        assert answer.status_code == 202
        (message,) = failures(answer)
        assert said in message
        assert [one["id"] for one in (await node.get("objects/")).json()["objects"]] == [indicator(2)["id"]]


async def test_a_limit_lowered_in_the_files_holds_from_the_moment_it_is_in_force(store, tmp_path):
    async with served(store, tmp_path) as node:
        assert (await node.post({"objects": [indicator(1)]})).status_code == 202
        node.home.settings_file.write_text(f"{SETTINGS}\nlimits: {{body: 300}}\n")
        async with store.writing() as tx:
            await bring_into_force(tx, node.home, read_configuration(node.home.configuration_files()))
        assert (await node.get("/exchange/")).json()["max_content_length"] == 300
        assert (await node.post({"objects": [indicator(2)]})).status_code == 413


async def test_a_head_and_a_body_have_no_more_than_the_lowered_time(store, tmp_path):
    async with served(store, tmp_path, limits={"header": "1s", "request": "1s"}) as node:
        host, _, port = node.url.removeprefix("http://").partition(":")
        head = (
            f"POST {node.collection_url().removeprefix(node.url)}objects/ HTTP/1.1\r\nHost: x\r\n"
            f"X-API-Key: {node.tokens['walt']}\r\nContent-Type: application/taxii+json;version=2.1\r\n"
            "Content-Length: 100\r\n\r\n"
        )
        began = time.monotonic()

        async def told(begun: str) -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begun.encode())
            said = await asyncio.wait_for(reader.read(), 8)
            writer.close()
            await writer.wait_closed()
            return said

        silent, unfinished = await asyncio.gather(told("GET / HTTP/1.1\r\n"), told(head))
        assert silent == b""
        assert unfinished.startswith(b"HTTP/1.1 400 ")
        assert b"within 1 seconds" in unfinished
        assert time.monotonic() - began < 8
