"""Reading: objects of every kind for a log, and how the tests of several sections look at pages."""

OLD, MIDDLE, NEW = "2025-03-01T00:00:00.000Z", "2025-03-01T00:00:00.100000Z", "2025-03-02T00:00:00.000Z"
LATER = "2030-01-01T00:00:00Z"

MARKING = {  # has `created` and no `modified`
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--00000000-0000-4000-8000-000000000001",
    "created": "2025-01-01T00:00:00.5Z",
    "definition_type": "statement",
    "definition": {"statement": "© Example"},
}
SOFTWARE = {  # has neither, and a property called `version`, which is not a version
    "type": "software",
    "spec_version": "2.1",
    "id": "software--00000000-0000-4000-8000-000000000001",
    "name": "Example",
    "version": "7.2",
}


READABLE = (
    "/taxii2/",
    "/exchange/",
    "/exchange/collections/",
    "",
    "manifest/",
    "objects/",
)  # what a reader may GET


def ids(answer):
    return [one["id"] for one in answer.json().get("objects", [])]


async def every_page(node, path, query=""):
    """Follow `next` to the end; the answers."""
    answers = [await node.get(f"{path}?{query}")]
    while answers[-1].json().get("more"):
        following = answers[-1].json()["next"]
        answers.append(await node.get(f"{path}?{query}&next={following}"))
    return answers
