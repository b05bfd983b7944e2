"""The reckoning of a shift: what was put on the cameras, held against what the store gives back and what is gone.

Owns when a shift went well. Pure: everything it judges by is an argument.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dockd.domain.model import CameraSerial, ClipId, Sha256
from dockd.sim.manifest import Put
from dockd.sim.witness import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the store gives when a clip is read back from it whole."""

    sha256: Sha256
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """How a shift ended; `differences` is empty where it went well."""

    clips: int
    bytes_: int
    receipted: int
    erased: int
    differences: tuple[str, ...]


def reckon(
    puts: Sequence[Put],
    *,
    stored: Mapping[ClipId, Stored | None],
    still_there: Collection[Put],
    sightings: Sequence[Sighting],
) -> Reckoning:
    """Judge a shift.

    `stored` holds each clip that the store lists as receipted for this station, None where it lists one that it does
    not give; `still_there` what is still on its camera. A clip is well if the store gives back the bytes that were put
    on the camera, and if it left the camera by an erasure in whose moment the store already held it.
    """
    held = {(seen.camera.serial, seen.path): seen.held for seen in sightings}
    whole = [put for put in puts if _is_whole(put, stored.get(put.clip_id))]
    gone = [put for put in puts if put not in still_there]
    known = {(put.camera.serial, put.path) for put in puts}
    differences = [
        *(_not_whole(put, stored) for put in puts if put not in whole),
        *(f"{_name(put)} is still on its camera" for put in puts if put in still_there),
        *_not_lawful(gone, held),
        *(f"{place[0]}:{place[1]!r} was erased, and nobody put it there" for place in held if place not in known),
    ]
    return Reckoning(
        clips=len(puts),
        bytes_=sum(put.length_bytes for put in puts),
        receipted=len(whole),
        erased=sum(held.get((put.camera.serial, put.path), False) for put in gone),
        differences=tuple(differences),
    )


def _is_whole(put: Put, stored: Stored | None) -> bool:
    return stored == Stored(sha256=put.sha256, length_bytes=put.length_bytes)


def _not_whole(put: Put, stored: Mapping[ClipId, Stored | None]) -> str:
    if put.clip_id not in stored:
        return f"{_name(put)} is not receipted at the store"
    given = stored[put.clip_id]
    if given is None:
        return f"{_name(put)} is listed by the store, which does not give it"
    return (
        f"{_name(put)} is {given.length_bytes} bytes with sha256 {given.sha256} at the store,"
        f" {put.length_bytes} with {put.sha256} were put on the camera"
    )


def _not_lawful(gone: Sequence[Put], held: Mapping[tuple[CameraSerial, bytes], bool]) -> Iterator[str]:
    for put in gone:
        seen = held.get((put.camera.serial, put.path))
        if seen is None:
            yield f"{_name(put)} is gone from its camera, and the station never erased it"
        elif not seen:
            yield f"{_name(put)} was erased before the store held it"


def _name(put: Put) -> str:
    return f"{put.camera.serial}:{put.path!r}"
