"""Reading the store as anybody with leave can: over HTTP, with the standard library and nothing of the station's.

Owns two questions to a store on this machine. Blocks: whoever is in an event loop asks from a thread.

`GET /clips` is paged: `{"clips": [{"clip_id", "sha256", "length", "stations", ...}, ...], "next": URL or null}`;
`GET /clips/ID` gives one of these, `GET /clips/ID/content` its bytes.
"""

import hashlib
import http.client
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit

from dockd.domain.model import ClipId, Sha256, StationId
from dockd.sim.manifest import Put
from dockd.sim.reckoning import Stored

TIMEOUT_S = 30.0
CHUNK_BYTES = 256 * 1024
PAGE_CLIPS = 1000


class StoreReader:
    """Reads one station's clips at a store that asks for no credentials."""

    def __init__(self, url: str, *, station: StationId) -> None:
        """Take any address at the store."""
        self._host = urlsplit(url).netloc
        self._station = station

    def holds(self, put: Put) -> bool:
        """Say whether the store lists a clip for this station, with the digest and length that were put on the camera.

        Raises:
            OSError, HTTPException, ValueError: the store does not answer as it should.

        """
        with self._get(f"/clips/{put.clip_id}") as response:
            if response.status == http.HTTPStatus.NOT_FOUND:
                return False
            clip = _object(response)
        ours = self._station in _texts(clip["stations"])
        return ours and (clip["sha256"], clip["length"]) == (put.sha256, put.length_bytes)

    def stored(self, wanted: Collection[ClipId]) -> dict[ClipId, Stored | None]:
        """Read back those of the wanted clips that are listed for this station; None for one that is not given.

        Raises:
            OSError, HTTPException, ValueError: the store does not answer as it should.

        """
        return {clip_id: self._content(clip_id) for clip_id in self._listed() if clip_id in wanted}

    def _listed(self) -> Iterator[ClipId]:
        where: str | None = f"/clips?{urlencode({'station': self._station, 'limit': PAGE_CLIPS})}"
        while where is not None:
            with self._get(where) as response:
                page = _object(response)
            for clip in _objects(page["clips"]):
                yield ClipId(str(clip["clip_id"]))
            where = None if page["next"] is None else str(page["next"])

    def _content(self, clip_id: ClipId) -> Stored | None:
        digest, length_bytes = hashlib.sha256(), 0
        with self._get(f"/clips/{clip_id}/content") as response:
            if response.status != http.HTTPStatus.OK:
                return None
            # Content that breaks off is shorter than what was put, and told as that.
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                length_bytes += len(chunk)
        return Stored(sha256=Sha256(digest.hexdigest()), length_bytes=length_bytes)

    @contextmanager
    def _get(self, where: str) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(where)
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()


def _object(response: http.client.HTTPResponse) -> Mapping[str, object]:
    text = response.read()
    if response.status != http.HTTPStatus.OK:
        raise ValueError(f"the store answered {response.status} {text!r:.200}, expected 200")
    value: object = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"the store gave {value!r:.200}, expected an object")  # noqa: TRY004 - as below
    return value


def _objects(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"the store gave {value!r:.200}, expected a list of objects")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"the store gave {value!r:.200}, expected a list")  # noqa: TRY004 - of another's word, not ours
    return [str(each) for each in value]
