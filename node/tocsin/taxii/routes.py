"""Routes: every path of the exchange, with the section that defines it."""

from starlette.routing import Route

from tocsin.taxii import (
    acknowledgements,
    changes,
    collections,
    descriptor,
    digest,
    discovery,
    manifest,
    news,
    objects,
    status,
)
from tocsin.taxii.endpoint import Exchange, resource
from tocsin.taxii.resources import API_ROOT, DISCOVERY

_COLLECTION = f"{API_ROOT}collections/{{collection}}/"
_OBJECT = f"{_COLLECTION}objects/{{object}}/"


def routes(exchange: Exchange) -> list[Route]:
    """The resources of TAXII 2.1, what nodes say beyond it (see `changes`) and our descriptor."""
    table = {
        DISCOVERY: {"GET": discovery.get_discovery},  # §4.1
        API_ROOT: {"GET": discovery.get_api_root},  # §4.2
        f"{API_ROOT}status/{{status}}/": {"GET": status.get_status},  # §4.3
        f"{API_ROOT}collections/": {"GET": collections.get_collections},  # §5.1
        _COLLECTION: {"GET": collections.get_collection},  # §5.2
        f"{_COLLECTION}manifest/": {"GET": manifest.get_manifest},  # §5.3
        f"{_COLLECTION}objects/": {"GET": objects.get_objects, "POST": objects.add_objects},  # §5.4, §5.5
        _OBJECT: {"GET": objects.get_object, "DELETE": objects.delete_object},  # §5.6, §5.7
        f"{_OBJECT}versions/": {"GET": objects.get_versions},  # §5.8
        f"{_COLLECTION}changes/": {"GET": changes.get_changes},
        f"{_COLLECTION}changes/content/": {"GET": changes.get_content},
        f"{_COLLECTION}acknowledgements/": {"POST": acknowledgements.acknowledge},
        f"{_COLLECTION}digest/": {"GET": digest.get_digest},
        f"{API_ROOT}news/": {"GET": news.get_news},
        "/.well-known/tocsin.json": {"GET": descriptor.get_descriptor},
    }
    return [route for path, handlers in table.items() for route in resource(exchange, path, handlers)]
