"""What the store is told of a clip: its stable facts, as tus metadata.

Owns the names on the wire, the canonical order and the digest a receipt covers. Everything in it follows from the
camera and the file, so that a station with a wiped ledger sends the same bytes again.
"""

import base64
from collections.abc import Mapping

from dockd.domain.canonical import sha256_hex
from dockd.domain.gaps import gaps_text
from dockd.domain.model import Camera, CameraSerial, Clip, Sha256, StationId, VolumeId
from dockd.errors import InvariantError

MAX_NAME_BYTES = 2048
"""Longer names are cut to their end and tagged: base64 twice over must stay under 6 KB of header."""
MAX_NAME_BESIDE_FACTS_BYTES = 1280
"""The same beside what a profile read. FAT has no path of more than 260 characters (780 bytes)."""


def metadata_of(clip: Clip, *, station: StationId) -> dict[str, str]:
    """Tell the store a copied clip's stable facts: ASCII text by name, empty facts left out.

    Keys: clip_id, recording_id, serial, volume, model, firmware, station, length, sha256, name (base64 of the raw
    path), name_cut, mtime_ns (the card's claim), kind, tags, marks, unreadable (the gaps of a salvaged copy); and what
    a profile read of it (`domain.facts`), whose marks stand for ours: what it could not read is `unknown` there.
    """
    if clip.clip_id is None or clip.sha256 is None:
        message = f"clip {clip.key}: metadata asked for in state {clip.state}, expected a copied clip"
        raise InvariantError(message)
    most_bytes = MAX_NAME_BESIDE_FACTS_BYTES if clip.facts else MAX_NAME_BYTES
    facts = {
        "clip_id": clip.clip_id,
        "recording_id": clip.recording_id,
        "serial": _ascii(clip.camera.serial),
        "volume": _ascii(clip.camera.volume),
        "model": _ascii(clip.camera.model),
        "firmware": _ascii(clip.camera.firmware),
        "station": station,
        "length": str(clip.length_bytes),
        "sha256": clip.sha256,
        "name": base64.b64encode(clip.path[-most_bytes:]).decode("ascii"),
        "name_cut": "yes" if len(clip.path) > most_bytes else "",
        "mtime_ns": str(clip.mtime_ns),
        "kind": clip.kind.value,
        "tags": " ".join(sorted(tag.value for tag in clip.tags)),
        "marks": "urgent" if clip.urgent else "",
        "unreadable": gaps_text(clip.gaps),
    }
    read = dict(clip.facts)
    facts = read | facts | {"marks": read.get("marks", facts["marks"])}
    return {key: facts[key] for key in sorted(facts) if facts[key]}


def metadata_header(metadata: Mapping[str, str]) -> str:
    """Write tus Upload-Metadata in its one canonical form: keys sorted, base64 with padding, ',' between pairs."""
    return ",".join(
        f"{key} {base64.b64encode(metadata[key].encode('utf-8')).decode('ascii')}" for key in sorted(metadata)
    )


def metadata_sha256(metadata: Mapping[str, str]) -> Sha256:
    """Digest that a receipt covers: SHA-256 of the canonical header, so any tus server can compute it."""
    return Sha256(sha256_hex(metadata_header(metadata).encode("ascii")))


def name_of(metadata: Mapping[str, str]) -> bytes:
    """Give back the raw path that `metadata_of` wrote.

    Raises:
        ValueError: `name` is missing or not base64.

    """
    if "name" not in metadata:
        message = "metadata has no 'name', expected the base64 of the clip's path"
        raise ValueError(message)
    return base64.b64decode(metadata["name"], validate=True)


def camera_text(text: str) -> str:
    """Undo the escaping that `metadata_of` gives to a serial or volume id."""
    return text.encode("ascii").decode("unicode_escape")


def _ascii(text: str) -> str:
    """Escape what a camera calls itself: plain ASCII stays as it is, a backslash starts an escape."""
    return text.encode("unicode_escape").decode("ascii")


def camera_of(metadata: Mapping[str, str]) -> Camera:
    """Give back the camera's identity from metadata, for a store that recomputes a clip id.

    Raises:
        KeyError: `serial` or `volume` is missing.

    """
    return Camera(
        serial=CameraSerial(camera_text(metadata["serial"])), volume=VolumeId(camera_text(metadata["volume"]))
    )
