from collections.abc import Callable
from dataclasses import replace

import pytest

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.listing import listing_of
from dockd.domain.model import (
    FOLDER_VOLUME,
    BayId,
    Camera,
    CameraSerial,
    ClipId,
    ClipKey,
    DockingId,
    ListedFile,
    Listing,
    Sha256,
)
from dockd.sim.manifest import Manifest, Put
from dockd.sim.reckoning import Reckoning, Stored, reckon
from dockd.sim.witness import Sighting, Witness

CAMERA = Camera(serial=CameraSerial("DKD-0001"), volume=FOLDER_VOLUME)
A = Put(camera=CAMERA, path=b"A.MP4", length_bytes=100, sha256=Sha256("a" * 64))
B = Put(camera=CAMERA, path=b"B.MP4", length_bytes=0, sha256=Sha256("b" * 64))
WHOLE = {put.clip_id: Stored(sha256=put.sha256, length_bytes=put.length_bytes) for put in (A, B)}
SEEN = (
    Sighting(camera=CAMERA, path=b"A.MP4", held=True),
    Sighting(camera=CAMERA, path=b"B.MP4", held=True),
)


def differences(
    *,
    stored: dict[ClipId, Stored | None] | None = None,
    still_there: frozenset[Put] = frozenset(),
    sightings: tuple[Sighting, ...] = SEEN,
) -> tuple[str, ...]:
    return reckon(
        (A, B), stored=WHOLE if stored is None else stored, still_there=still_there, sightings=sightings
    ).differences


def test_a_shift_in_which_all_went_well_differs_in_nothing() -> None:
    assert reckon((A, B), stored=WHOLE, still_there=frozenset(), sightings=SEEN) == Reckoning(
        clips=2, bytes_=100, receipted=2, erased=2, differences=()
    )


@pytest.mark.promise("I4")
def test_a_clip_that_the_store_does_not_list_is_told() -> None:
    stored = {A.clip_id: WHOLE[A.clip_id]}
    reckoning = reckon((A, B), stored=stored, still_there=frozenset(), sightings=SEEN)
    assert reckoning.receipted == 1
    assert reckoning.differences == ("DKD-0001:b'B.MP4' is not receipted at the store",)


@pytest.mark.promise("I2")
def test_a_clip_that_the_store_lists_and_does_not_give_is_told() -> None:
    assert differences(stored={**WHOLE, A.clip_id: None}) == (
        "DKD-0001:b'A.MP4' is listed by the store, which does not give it",
    )


@pytest.mark.promise("I5")
@pytest.mark.parametrize(
    "given", [Stored(sha256=Sha256("c" * 64), length_bytes=100), Stored(sha256=A.sha256, length_bytes=99)]
)
def test_a_clip_that_the_store_gives_otherwise_is_told(given: Stored) -> None:
    (told,) = differences(stored={**WHOLE, A.clip_id: given})
    assert told == (
        f"DKD-0001:b'A.MP4' is {given.length_bytes} bytes with sha256 {given.sha256} at the store,"
        f" 100 with {'a' * 64} were put on the camera"
    )


def test_a_clip_that_is_still_on_its_camera_is_told() -> None:
    reckoning = reckon((A, B), stored=WHOLE, still_there=frozenset({B}), sightings=SEEN)
    assert reckoning.erased == 1
    assert reckoning.differences == ("DKD-0001:b'B.MP4' is still on its camera",)


@pytest.mark.promise("I1")
def test_a_clip_that_was_erased_before_the_store_held_it_is_told() -> None:
    reckoning = reckon((A, B), stored=WHOLE, still_there=frozenset(), sightings=(SEEN[0], replace(SEEN[1], held=False)))
    assert reckoning.erased == 1
    assert reckoning.differences == ("DKD-0001:b'B.MP4' was erased before the store held it",)


@pytest.mark.promise("I4")
def test_a_clip_that_vanished_without_an_erasure_is_told() -> None:
    assert differences(sightings=SEEN[:1]) == (
        "DKD-0001:b'B.MP4' is gone from its camera, and the station never erased it",
    )


def test_an_erasure_of_something_that_was_never_put_there_is_told() -> None:
    strange = Sighting(camera=CAMERA, path=b"C.MP4", held=False)
    assert differences(sightings=(*SEEN, strange)) == ("DKD-0001:b'C.MP4' was erased, and nobody put it there",)


def test_of_an_erasure_that_was_tried_twice_the_last_one_counts() -> None:
    """The card said no, or was pulled in the moment between: the file stayed, and was erased in another stay."""
    assert differences(sightings=(replace(SEEN[0], held=False), *SEEN)) == ()
    assert len(differences(sightings=(*SEEN, replace(SEEN[0], held=False)))) == 1


# --- the witness --------------------------------------------------------------------------------------------------


class NotingCard:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def listing(self) -> Listing:
        return listing_of([])

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        progress(file.length_bytes)
        return Copied(clip_id=ClipId("c"), sha256=Sha256("d"), length_bytes=file.length_bytes)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        progress(file.length_bytes)
        return Salvaged(clip_id=ClipId("c"), sha256=Sha256("d"), length_bytes=file.length_bytes, gaps=())

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        progress(file.length_bytes)
        return ReadAgain(sha256=Sha256("d"), length_bytes=file.length_bytes, uncached=True)

    async def erase(self, permit: ErasePermit) -> None:
        self._log.append(f"erased {permit.path!r}")

    async def rest(self) -> None:
        self._log.append("let go")

    async def close(self) -> None:
        self._log.append("closed")


class NotingCards:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def open(self, attached: Attached) -> Card:
        self._log.append(f"opened {attached.source}")
        return NotingCard(self._log)


def permit(path: bytes) -> ErasePermit:
    return ErasePermit(clip=ClipKey(1), docking=DockingId(1), path=path, length_bytes=100, sha256=Sha256("a" * 64))


async def test_a_witness_asks_the_store_before_each_erasure_and_stops_none() -> None:
    """The store is asked by what was put on the camera, and not by what the station believes."""
    log: list[str] = []

    async def holds(put: Put) -> bool:
        log.append(f"asked {put.path!r}")
        return put == A

    witness = Witness(manifest=Manifest((A, B)), holds=holds)
    cards = witness.watching(NotingCards(log))
    card = await cards.open(Attached(bay=BayId(1), camera=CAMERA, source="/x"))
    for path in (b"A.MP4", b"B.MP4", b"C.MP4"):
        await card.erase(permit(path))
    await card.rest()
    await card.close()
    assert log == [
        "opened /x",
        "asked b'A.MP4'",
        "erased b'A.MP4'",
        "asked b'B.MP4'",
        "erased b'B.MP4'",
        "erased b'C.MP4'",
        "let go",
        "closed",
    ]
    assert [(seen.path, seen.held) for seen in witness.sightings] == [
        (b"A.MP4", True),
        (b"B.MP4", False),
        (b"C.MP4", False),
    ]


async def test_a_witness_changes_nothing_else_about_a_card() -> None:
    async def holds(put: Put) -> bool:
        raise AssertionError(put)

    file = ListedFile(path=b"A.MP4", length_bytes=100, mtime_ns=0)
    witness = Witness(manifest=Manifest((A, B)), holds=holds)
    card = await witness.watching(NotingCards([])).open(Attached(bay=BayId(1), camera=CAMERA, source="/x"))
    seen: list[int] = []
    assert (await card.listing()).files == ()
    assert (await card.copy(file, progress=seen.append)).length_bytes == 100
    assert (await card.salvage(file, progress=seen.append)).gaps == ()
    assert (await card.reread(file)).uncached
    assert seen == [100, 100]
    assert witness.sightings == ()
