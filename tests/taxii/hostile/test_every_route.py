"""Every route, driven by its description (reliability N7): schemathesis makes requests from it, good and bad.

The description is made from the routes themselves, so a new route is tried without being named here.
"""

import asyncio
from itertools import chain

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from living import LivingNode, living
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from taxii_node import PRIVATE, REGIONAL, TAXII, indicator
from tocsin.sharing.node import Node
from tocsin.taxii.body import Admission
from tocsin.taxii.endpoint import Exchange
from tocsin.taxii.routes import routes

EXAMPLES = 5  # of each operation, in each of the two ways
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
QUERY = [
    "limit",
    "next",
    "added_after",
    "match[id]",
    "match[type]",
    "match[version]",
    "match[spec_version]",
    "after",
]
VALUES = {
    "collection": [REGIONAL, PRIVATE, "regional", "nowhere"],
    "object": [indicator(1)["id"], indicator(2)["id"], "indicator--1"],
    "status": ["3f0c4d5e-7a11-4c1e-9b0d-00000000dead"],
    "limit": ["1", "1000", "0", "-1"],
    "next": ["", "A" * 32],
    "added_after": ["2025-03-01T00:00:00Z", "2025-03-01"],
    "after": ["2025-03-01T00:00:00Z", ""],
    "match[id]": [indicator(1)["id"]],
    "match[type]": ["indicator", "malware,indicator"],
    "match[version]": ["last", "first", "all", "2025-03-01T00:00:00.000Z"],
    "match[spec_version]": ["2.1", "2.0"],
}
TEXT = {"type": "string"}
OBJECT = {"type": "object", "minProperties": 0}
MESSAGE = {
    "type": "object",
    "required": ["title", "http_status"],
    "properties": {"title": TEXT, "description": TEXT, "error_id": TEXT, "http_status": TEXT},
    "additionalProperties": False,
}
PAGE = {
    "type": "object",
    "properties": {"more": {"type": "boolean"}, "next": TEXT, "objects": {"type": "array", "minItems": 1}},
}


def parameter(name: str, where: str) -> dict:
    """Something like what belongs there, or any text at all."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": {"anyOf": [{"type": "string", "enum": VALUES[name]}, {"type": "string", "maxLength": 60}]},
    }


def answer(schema: dict, *, headers: tuple[str, ...] = ()) -> dict:
    return {
        "description": "as TAXII 2.1 has it",
        "content": {TAXII: {"schema": schema}, "application/json": {"schema": schema}},
        "headers": {name: {"required": True, "schema": TEXT} for name in headers},
    }


def operation(path: str, method: str) -> dict:
    """What one method of one path takes and answers."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    errors = {400: (), 401: ("WWW-Authenticate",), 403: (), 404: (), 406: ()}
    if method == "post":
        done = {202: answer(OBJECT)}
        errors |= {413: (), 415: (), 422: (), 429: ("Retry-After",)}
    elif method == "delete":
        done = {200: {"description": "deleted"}}
    else:
        done = {200: answer(PAGE if path.rstrip("/").endswith("objects") else OBJECT, headers=("ETag", "Vary"))}
    described = {
        "parameters": [parameter(name, "path") for name in names] + [parameter(name, "query") for name in QUERY],
        "responses": {
            **{str(status): said for status, said in done.items()},
            **{str(status): answer(MESSAGE, headers=names) for status, names in errors.items()},
        },
    }
    if method == "post":
        members = {"type": "array", "items": {"anyOf": [{"enum": [indicator(1), indicator(2)]}, {}]}}
        body = {"type": "object", "properties": {"objects": members}}
        described["requestBody"] = {"content": {TAXII: {"schema": {"anyOf": [body, {}]}}}, "required": True}
    return described


def description() -> dict:
    """Our routes as an OpenAPI document."""
    paths: dict[str, dict] = {}
    for route in routes(Exchange(None, Node(b"n" * 32), b"k" * 32, Admission(None))):
        methods = sorted(method.lower() for method in route.methods - {"HEAD"})
        paths[route.path] = {method: operation(route.path, method) for method in methods}
    return {"openapi": "3.1.0", "info": {"title": "TAXII 2.1", "version": "2.1"}, "paths": paths}


def drive(node: LivingNode) -> set[tuple[str, str]]:
    """Try every operation as its own description makes requests, and as it makes ones that break it."""
    schema = schemathesis.openapi.from_dict(description())
    driven = set()
    for found in chain(schema.get_all_operations()):
        one = found.ok()
        for mode in schemathesis.GenerationMode:

            @seed(20260301)
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=one.as_strategy(generation_mode=mode))
            def try_it(case):
                by = "walt" if case.method.upper() in ("POST", "DELETE") else "rita"
                case.call_and_validate(
                    base_url=node.url, headers={"X-API-Key": node.tokens[by]}, checks=CHECKS, timeout=20
                )

            try_it()
        driven.add((one.method.upper(), one.path))
    return driven


async def test_every_route_answers_whatever_is_asked_as_it_is_described(tmp_path):
    async with living(tmp_path) as node:
        await node.post(b'{"objects":[]}')
        driven = await asyncio.to_thread(drive, node)
    assert len(driven) >= 24
    assert {method for method, _ in driven} == {"GET", "POST", "DELETE"}
