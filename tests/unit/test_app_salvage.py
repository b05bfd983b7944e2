"""A file that gives errors: what can be read of it reaches the store as a clip of its own, and the file stays."""

import asyncio
import json

import pytest

from dockd.app.ports import Salvaged
from dockd.domain.clip import Change, Move
from dockd.domain.lamps import Lamp
from dockd.domain.model import ClipKey, ListedFile
from dockd.errors import InvariantError, Reason, TransientError
from tests.sim.cameras import SimCard
from tests.sim.fate import Fault
from tests.sim.rows import Row
from tests.sim.scene import Scene, play

DATA = bytes(range(1, 251)) * 8
THREE = {"A.MP4": DATA, "B.MP4": b"b" * 900, "C.MP4": b"c" * 900}


def salvaged_rows(world: Scene) -> list[Row]:
    """The clips that are what was salvaged of files."""
    keys = {key for (key,) in world.books.connection.execute("SELECT key FROM clips WHERE gaps <> ''")}
    return [row for row in world.auditor.rows() if row.key in keys]


@pytest.mark.promise("I4", "I5")
def test_what_can_be_read_reaches_the_store_and_the_file_stays_on_its_camera() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.rest()
        original, salvaged = world.auditor.rows()
        assert (original.state, salvaged.state) == ("held", "receipted")
        assert world.custody(salvaged.key)[0] == "salvaged"
        assert camera.files[b"A.MP4"].data == DATA
        assert (await world.bay(1)).lamp is Lamp.LEAVE
        clip = await world.running.ledger.clip(ClipKey(original.key))
        assert clip.reason is Reason.UNREADABLE
        assert f"the rest is salvaged as clip {salvaged.key}" in clip.detail
        stored = world.store.objects[salvaged.clip_id or ""]
        gaps = (await world.running.ledger.clip(ClipKey(salvaged.key))).gaps
        assert gaps
        for gap in gaps:
            assert not any(stored[gap.offset_bytes : gap.offset_bytes + gap.length_bytes])
        inside = {byte for gap in gaps for byte in range(gap.offset_bytes, gap.offset_bytes + gap.length_bytes)}
        assert all(stored[byte] == DATA[byte] for byte in range(len(DATA)) if byte not in inside)
        assert len(stored) == len(DATA)

    play(scene)


@pytest.mark.promise("I1")
def test_when_the_file_reads_whole_at_a_later_docking_it_goes_its_own_way() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 2)
        await world.rest()
        original, salvaged = world.auditor.rows()
        assert (original.state, salvaged.state) == ("erased", "receipted")
        assert original.clip_id != salvaged.clip_id
        assert {original.clip_id, salvaged.clip_id} <= world.store.objects.keys()
        assert not camera.files

    play(scene)


@pytest.mark.promise("I17")
def test_files_that_read_well_are_copied_before_anything_is_salvaged() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", THREE)
        world.plan(Fault.PARTLY_READABLE, 1)
        world.dock(camera, 1)
        await world.until(lambda: any("salvage" in line for line in world.fate.lines) or not camera.files)
        assert [row.state for row in world.auditor.rows() if row.path != b"A.MP4"] != ["found", "found"]
        await world.rest()
        # It read whole at the second try: no salvaged clip, no quarantine.
        assert [row.state for row in world.auditor.rows()] == ["erased"] * 3
        copied = [
            json.loads(body)["clip"]
            for (body,) in world.books.connection.execute("SELECT body FROM custody ORDER BY seq")
            if json.loads(body)["cause"] == "copied"
        ]
        assert copied == [2, 3, 1]

    play(scene)


@pytest.mark.promise("I17")
def test_no_camera_on_the_bus_waits_for_another_ones_bad_sectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimCard, "_torn", lambda _card, source, _file: source.data == DATA)

    async def scene(world: Scene) -> None:
        torn = world.camera("torn", {"A.MP4": DATA} | {f"{number}.MP4": b"a" * 900 for number in range(4)})
        world.dock(torn, 1)
        await world.until(lambda: any(row.state == "copied" for row in world.auditor.rows()))
        world.dock(world.camera("sound", {f"{number}.MP4": b"b" * 900 for number in range(4)}), 2)
        await world.rest()
        told = [
            (body["camera"], body["cause"])
            for (text,) in world.books.connection.execute("SELECT body FROM custody ORDER BY seq")
            if (body := json.loads(text))["cause"] in {"copied", "salvaged"}
        ]
        assert told == [("torn", "copied")] * 4 + [("sound", "copied")] * 4 + [("torn", "salvaged")]

    play(scene)


def test_of_a_file_that_gives_nothing_nothing_is_salvaged() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", THREE)
        camera.files[b"A.MP4"].unreadable = True
        world.dock(camera, 1)
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["held", "erased", "erased"]

    play(scene)


def test_a_file_is_salvaged_once_in_a_docking_and_once_more_in_the_next() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE)
        world.dock(camera, 1)
        await world.rest()
        assert len(salvaged_rows(world)) == 1
        held = world.clips("A.MP4")[0]
        await world.running.ledger.move(ClipKey(held.key), Move.RECOPY, Change(), actor="user:test")
        world.running.station.goes_on(await world.running.ledger.clip(ClipKey(held.key)))
        await world.rest()
        assert world.clips("A.MP4")[0].state == "held"
        assert len(salvaged_rows(world)) == 1
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.rest()
        assert [row.state for row in salvaged_rows(world)] == ["receipted", "receipted"]

    play(scene)


def test_a_camera_pulled_in_the_middle_of_salvaging_loses_nothing() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.until(lambda: world.running.station._buses["a"]._guests and _torn(world))
        world.pull(camera)
        await asyncio.sleep(1)
        assert world.clips("A.MP4")[0].state == "found"
        world.plan(Fault.PARTLY_READABLE, 0)
        world.dock(camera, 1)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"

    play(scene)


def _torn(world: Scene) -> bool:
    return any(guest.salvaged for guest in world.running.station._buses["a"]._guests.values())


@pytest.mark.promise("I4")
def test_a_salvaged_copy_that_is_lost_is_held_and_salvaged_anew() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.plan(Fault.BLACK_HOLE)
        world.dock(camera, 1)
        await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["held", "copied"])
        (row,) = salvaged_rows(world)
        for copies in (world.disk.seen, world.disk.synced):
            copies.pop(row.clip_id, None)  # type: ignore[call-overload]  # a clip id is text
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: [row.state for row in salvaged_rows(world)] == ["held"])
        clip = await world.running.ledger.clip(ClipKey(row.key))
        assert clip.reason is Reason.DISK
        assert "the salvaged copy here is lost" in clip.detail
        world.pull(camera)
        await asyncio.sleep(1)
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.rest()
        assert [row.state for row in salvaged_rows(world)] == ["held", "receipted"]

    play(scene)


def test_a_salvage_that_finds_no_room_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    salvage = SimCard.salvage

    async def crowded(card: SimCard, file: ListedFile, **known: object) -> Salvaged:
        tries.append(len(tries))
        if len(tries) == 1:
            raise TransientError(Reason.DISK_FULL, "no room")
        return await salvage(card, file, **known)  # type: ignore[arg-type]  # its own arguments

    monkeypatch.setattr(SimCard, "salvage", crowded)

    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.rest()
        assert tries == [0, 1]
        assert [row.state for row in world.auditor.rows()] == ["held", "receipted"]

    play(scene)


@pytest.mark.promise("I10")
def test_a_salvaged_copy_under_another_clips_name_ends_the_station(monkeypatch: pytest.MonkeyPatch) -> None:
    salvage = SimCard.salvage

    async def confused(card: SimCard, file: ListedFile, **known: object) -> Salvaged:
        made = await salvage(card, file, **known)  # type: ignore[arg-type]  # its own arguments
        return Salvaged(clip_id=made.clip_id, sha256=made.sha256, length_bytes=made.length_bytes + 1, gaps=made.gaps)

    monkeypatch.setattr(SimCard, "salvage", confused)

    async def scene(world: Scene) -> None:
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(world.camera("cam", {"A.MP4": DATA}), 1)
        await world.rest()

    with pytest.raises(ExceptionGroup) as caught:
        play(scene)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert "the copier kept 2001 bytes" in str(error)


def test_a_clip_that_was_docked_elsewhere_meanwhile_is_not_salvaged_into_the_old_stay() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA})
        world.plan(Fault.PARTLY_READABLE, 2)
        world.dock(camera, 1)
        await world.rest()
        ledger, row = world.running.ledger, world.clips("A.MP4")[0]
        found = Salvaged(clip_id=row.clip_id, sha256=row.sha256, length_bytes=1, gaps=())  # type: ignore[arg-type]  # refused before it is looked at
        with pytest.raises(InvariantError, match="docking 7 was asked for"):
            await ledger.salvage(ClipKey(row.key), found, docking=7)  # type: ignore[arg-type]  # a number will do

    play(scene)


def test_a_card_that_answers_unreadable_for_ever_does_not_make_the_bus_spin() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {f"{number}.MP4": DATA for number in range(5)})
        for file in camera.files.values():
            file.unreadable = True
        world.dock(camera, 1)
        await world.rest()
        await asyncio.sleep(60)  # the simulated loop fails on a spin
        assert {row.state for row in world.auditor.rows()} == {"held"}

    play(scene)
