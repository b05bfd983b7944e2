"""What a store on the host can show of the guest's station: what it signed, and when; and the bytes behind it.

Owns nothing: all of it is asked of the store as anybody would. Must not know how the clips came there.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.system.programs import StoreProcess
from tests.vm.station import STATION

Clip = tuple[str, str]
"""A camera's serial number, and a path on its card."""


def signed(store: StoreProcess) -> Mapping[str, float]:
    """Give when each receipt of the station was signed, in seconds since 1970, by the SHA-256 that it covers."""
    found: dict[str, float] = {}
    for given in _every(f"{store.base}/receipts?station={STATION}&limit=1000", "receipts"):
        payload = given["receipt"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        found[claims["sha256"]] = datetime.fromisoformat(claims["stored_at"]).timestamp()
    return found


def held(store: StoreProcess, cameras: Collection[str]) -> Mapping[Clip, str]:
    """Fetch every clip of some cameras, hash what came, and give that SHA-256; fails where a clip is there twice."""
    found: dict[Clip, str] = {}
    for clip in _every(f"{store.base}/clips?limit=1000", "clips"):
        if clip["camera"] not in cameras:
            continue
        named = clip["camera"], base64.b64decode(clip["name"], validate=True).decode()
        assert named not in found, f"{named}: two objects at the store"
        found[named] = hashlib.sha256(_get(f"{store.base}{clip['content']}")).hexdigest()
    return found


def _every(url: str | None, what: str) -> Iterator[dict[str, Any]]:
    while url is not None:
        page = json.loads(_get(url))
        yield from page[what]
        url = page["next"]


def _get(url: str) -> bytes:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 200, f"GET {url}: {answer.status} {body[:200]!r}"
    return body
