"""acme: a subscriber that is no node. It speaks plain HTTP with nothing of ours, as anybody's script would."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

from tocsin.errors import PeerFailed

_TAXII = "application/taxii+json;version=2.1"
_PAGE = 7  # objects: small, so that paging is really used


class Acme:
    """What acme is offered and reads, with the token it was given."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token
        self.titles: list[str] = []
        self.objects: dict[str, Any] = {}
        self.answers: list[bytes] = []

    def read_everything(self) -> None:
        """Discovery, every collection offered, every object in it. Raises PeerFailed for any answer but 200."""
        root = self._get(self._get("/taxii2/")["default"])
        if root["versions"] != [_TAXII]:
            raise PeerFailed(f"acme was told of other versions: {root['versions']}")
        for collection in self._get("/exchange/collections/").get("collections", ()):
            self.titles.append(collection["title"])
            self._read_objects(f"/exchange/collections/{collection['id']}/objects/?limit={_PAGE}")

    def status_of(self, path: str) -> int:
        """The status that acme gets for a path, whatever it is."""
        try:
            self._ask(path)
        except urllib.error.HTTPError as refused:
            return refused.code
        return 200

    def _read_objects(self, path: str) -> None:
        page = self._get(path)
        while True:
            self.objects |= {found["id"]: found for found in page.get("objects", ())}
            if not page.get("more"):
                return
            page = self._get(f"{path}&next={page['next']}")

    def _get(self, path: str) -> Any:
        try:
            body = self._ask(path)
        except urllib.error.HTTPError as why:
            raise PeerFailed(f"acme asked for {path}, and got {why.code}") from why
        self.answers.append(body)
        return json.loads(body)

    def _ask(self, path: str) -> bytes:
        url = path if path.startswith("http://127.0.0.1:") else self._address + path
        asked = urllib.request.Request(url, headers={"Accept": _TAXII})  # noqa: S310  (http, on this machine)
        pair = base64.b64encode(f"acme:{self._token}".encode()).decode("ascii")
        asked.add_header("Authorization", f"Basic {pair}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands before loopback
        with opener.open(asked, timeout=10) as answer:
            body: bytes = answer.read()
        return body
