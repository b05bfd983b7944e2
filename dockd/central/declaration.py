"""What a station says of a clip before it sends it, checked: pure.

Owns which metadata the store requires, what each key may hold, and the names that follow from it (of the upload, of
the object). Knows no HTTP, no disk and no index.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dockd.domain import facts
from dockd.domain.canonical import length_prefixed, sha256_hex
from dockd.domain.metadata import camera_of, metadata_header, metadata_sha256, name_of
from dockd.domain.model import Camera, ClipId, Sha256, StationId, clip_id_of
from dockd.tus import headers

_HEX64 = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[ -~]{1,256}")
_ESCAPED = re.compile(r"(?:[^\\]|\\(?:[\\tnr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}))*")
_SHOWN_CHARS = 80
_NAME_CUT = "yes"


class DeclarationError(ValueError):
    """A declaration that cannot be accepted: names the key, its value and what was expected."""

    def __init__(self, key: str, value: str, expected: str) -> None:
        """Build the message; a long value is cut."""
        shown = repr(value) if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]!r}..."
        super().__init__(f"{key}: {shown}: expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A clip as its station declared it.

    `recomputed` says whether the clip id was found again from the facts; a name too long to be sent whole (`name_cut`)
    does not allow it, and then the id is the station's word.
    """

    clip_id: ClipId
    station: StationId
    length_bytes: int
    sha256: Sha256
    metadata: Mapping[str, str]
    recomputed: bool

    @property
    def upload_id(self) -> str:
        """Name the upload, the same for every declaration of one clip by one station: 64 hex."""
        return sha256_hex(
            length_prefixed(b"dockd upload 1", self.station.encode("utf-8"), self.clip_id.encode("ascii"))
        )

    @property
    def object_key(self) -> str:
        """Name the object, 64 hex. Length and digest are in it: nobody can occupy another's clip with other bytes."""
        return sha256_hex(
            length_prefixed(
                b"dockd object 1",
                self.clip_id.encode("ascii"),
                str(self.length_bytes).encode("ascii"),
                self.sha256.encode("ascii"),
            )
        )

    @property
    def metadata_header(self) -> str:
        """The metadata in the canonical form that the receipt covers."""
        return metadata_header(self.metadata)


def meta_sha256_of(header: str) -> Sha256:
    """Digest the metadata of a stored declaration, from its canonical header."""
    return metadata_sha256(headers.parse_metadata(header))


def declare(metadata: Mapping[str, str], *, upload_length_bytes: int) -> Declaration:
    """Check a station's metadata against itself and against Upload-Length.

    Raises:
        DeclarationError: the first key that is missing, malformed or contradicts another.

    """
    clip_id = _matching(metadata, "clip_id", _HEX64, "64 lower-case hex digits")
    station = _matching(metadata, "station", _TEXT, "1 to 256 printable ASCII characters")
    _matching(metadata, "serial", _TEXT, "1 to 256 printable ASCII characters")
    _matching(metadata, "volume", _TEXT, "1 to 256 printable ASCII characters")
    sha256 = Sha256(_matching(metadata, "sha256", _HEX64, "64 lower-case hex digits"))
    for name in facts.NAMES:
        if name in metadata:
            _matching(metadata, name, _TEXT, "1 to 256 printable ASCII characters")
    length = _required(metadata, "length", "the file's length in bytes")
    if length != str(upload_length_bytes):
        raise DeclarationError("length", length, f"{upload_length_bytes}, as Upload-Length says")
    camera = _camera(metadata)
    recomputed = metadata.get("name_cut") != _NAME_CUT
    if recomputed:
        _check_clip_id(metadata, camera=camera, length_bytes=upload_length_bytes, sha256=sha256)
    return Declaration(
        clip_id=ClipId(clip_id),
        station=StationId(station),
        length_bytes=upload_length_bytes,
        sha256=sha256,
        metadata=dict(metadata),
        recomputed=recomputed,
    )


def parse_leaf(text: str | None) -> str | None:
    """Read the `Custody-Leaf` header; None if the request has none.

    Raises:
        DeclarationError: it is there and is not 64 hex digits.

    """
    if text is None:
        return None
    if not _HEX64.fullmatch(text):
        raise DeclarationError(headers.CUSTODY_LEAF, text, "64 lower-case hex digits")
    return text


def _required(metadata: Mapping[str, str], key: str, expected: str) -> str:
    if key not in metadata:
        raise DeclarationError(key, "(missing)", expected)
    return metadata[key]


def _matching(metadata: Mapping[str, str], key: str, form: re.Pattern[str], expected: str) -> str:
    value = _required(metadata, key, expected)
    if not form.fullmatch(value):
        raise DeclarationError(key, value, expected)
    return value


def _camera(metadata: Mapping[str, str]) -> Camera:
    """Read serial and volume, each in its one spelling: another would hide a clip from who lists that camera's."""
    told = f"{metadata['serial']} {metadata['volume']}"
    wrong = DeclarationError("serial, volume", told, "ASCII with Python's backslash escapes where they are needed")
    if not _ESCAPED.fullmatch(told):
        raise wrong
    try:
        camera = camera_of(metadata)
        spelled = f"{camera.serial} {camera.volume}".encode("unicode_escape").decode("ascii")
        f"{camera.serial}{camera.volume}".encode("utf-8", "surrogateescape")
    except ValueError as error:  # an escape that `camera_text` cannot undo
        raise wrong from error
    if spelled != told:
        raise wrong
    return camera


def _check_clip_id(metadata: Mapping[str, str], *, camera: Camera, length_bytes: int, sha256: Sha256) -> None:
    _required(metadata, "name", "the base64 of the clip's path (or name_cut=yes)")
    try:
        path = name_of(metadata)
    except ValueError as error:
        raise DeclarationError("name", metadata["name"], "the base64 of the clip's path") from error
    found = clip_id_of(camera=camera, path=path, length_bytes=length_bytes, sha256=sha256)
    if found != metadata["clip_id"]:
        raise DeclarationError("clip_id", metadata["clip_id"], f"{found}, from serial, volume, name, length and sha256")
