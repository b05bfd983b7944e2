"""One clip on its way to the store: what every ending writes down."""

import asyncio
import re
from dataclasses import replace

import pytest

from dockd.app.upload import Bringing
from dockd.domain.model import ClipKey
from dockd.errors import InvariantError, Reason
from dockd.tus.upload import Request, Response
from tests.sim.fate import Fault
from tests.sim.scene import POLICY, Scene, play

CLIP = {"A.MP4": b"a" * 900}


async def _docked(world: Scene) -> None:
    world.dock(world.camera("cam", CLIP), 1)
    await world.until(lambda: world.clips("A.MP4"))


def _state(world: Scene) -> str:
    return world.clips("A.MP4")[-1].state


def test_a_clip_that_was_never_copied_is_not_uploaded() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.DISK_FULL)
        await _docked(world)
        run = world.running
        clip = await run.ledger.clip(ClipKey(1))
        for bare in (clip, replace(clip, sha256=None)):
            with pytest.raises(InvariantError, match="clip 1: to be uploaded in state found, expected a copied clip"):
                Bringing(
                    bare,
                    ledger=run.ledger,
                    spool=run.spool,
                    wire=run.station._ports.wire,
                    keys=world.keys,
                    policy=POLICY,
                    progress=lambda _: None,
                )

    play(scene)


@pytest.mark.promise("I5")
def test_a_copy_that_is_gone_from_the_spool_is_made_again() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        await _docked(world)
        await world.until(lambda: _state(world) == "copied")
        world.disk.seen.clear()
        world.disk.synced.clear()
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        assert _state(world) == "erased"
        assert world.custody(1).count("copied") == 2
        assert "spool-lost" in world.custody(1)

    play(scene)


@pytest.mark.promise("I5")
def test_a_copy_that_rotted_is_made_again_and_the_store_gets_the_true_bytes() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        await _docked(world)
        await world.until(lambda: _state(world) == "copied")
        world.disk.rot()
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        assert _state(world) == "erased"
        assert list(world.store.objects.values()) == [b"a" * 900]

    play(scene)


@pytest.mark.parametrize("fault", [Fault.OFFSET_BACK, Fault.GONE], ids=lambda fault: fault.value)
def test_a_store_that_loses_a_clip_again_and_again_is_not_trusted_with_it(fault: Fault) -> None:
    async def scene(world: Scene) -> None:
        world.store.most_losses = 100
        world.plan(fault)
        await _docked(world)
        if fault is Fault.OFFSET_BACK:
            # Only what was there can be lost: break each body half way.
            world.plan(Fault.BROKEN_BODY)
        await world.until(lambda: _state(world) == "held", within_s=7200, every_s=1.0)
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.reason, clip.detail[:24]) == (Reason.STORE, "the store lost it 5 time")
        assert b"A.MP4" in world.rack.cameras["cam"].files

    play(scene)


def test_a_clip_that_somebody_moved_meanwhile_is_looked_at_anew() -> None:
    async def scene(world: Scene) -> None:
        store = world.store
        create = store.create

        def slow(request: Request) -> Response:
            # While the answer is on its way, the clip is held, as by a person.
            world.books.connection.execute("UPDATE clips SET state = 'held' WHERE key = 1")
            world.auditor._states[1] = "held"
            return create(request)

        store.create = slow  # type: ignore[method-assign]
        await _docked(world)
        await world.until(lambda: _state(world) == "held")
        await world.rest()
        assert world.custody(1)[-1] == "copied"
        assert len(store.uploads) == 1

    play(scene)


def test_late_news_of_bytes_sent_is_of_no_upload() -> None:
    async def scene(world: Scene) -> None:
        wire = world.running.station._ports.wire
        exchange = wire.exchange
        heard: list[object] = []

        async def listened(request: Request, *, source: object, progress: object) -> Response:
            heard.append(progress)
            return await exchange(request, source=source, progress=progress)  # type: ignore[arg-type]

        wire.exchange = listened  # type: ignore[method-assign]
        await _docked(world)
        await world.rest()
        heard[-1](5)  # type: ignore[operator]
        assert not (await world.running.station.view()).uplink.sending

    play(scene)


@pytest.mark.parametrize("told", ["nothing", "nonsense", "as sent"])
def test_a_receipt_over_what_we_sent_is_good_whatever_the_store_says_it_was_told(told: str) -> None:
    async def scene(world: Scene) -> None:
        head = world.store.head

        def silent(request: Request) -> Response:
            answer = head(request)
            headers = {name: value for name, value in answer.headers.items() if name != "upload-metadata"}
            if told == "nonsense":
                headers["upload-metadata"] = "no metadata at all"
            return answer if told == "as sent" else Response(status=answer.status, headers=headers)

        world.store.head = silent  # type: ignore[method-assign]
        await _docked(world)
        await world.rest()
        assert _state(world) == "erased"

    play(scene)


def test_an_earlier_declaration_of_ours_may_differ_in_what_the_camera_claims() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.BROKEN_BODY)
        world.dock(camera, 1)
        await world.until(lambda: world.store.uploads)
        await asyncio.sleep(1)
        await world.lose_power()
        camera.files[b"A.MP4"].urgent = True
        world.plan(Fault.BROKEN_BODY, 0)
        world.boot()
        await world.until(lambda: _state(world) == "erased")
        assert len(world.store.uploads) == 1
        (upload,) = world.store.uploads.values()
        assert "marks" not in upload.metadata

    play(scene)


@pytest.mark.promise("I1")
def test_a_declaration_of_another_clip_is_not_ours_however_the_store_spells_it() -> None:
    async def scene(world: Scene) -> None:
        create = world.store.create

        def altered(request: Request) -> Response:
            answer = create(request)
            (upload,) = world.store.uploads.values()
            upload.metadata_header = upload.metadata_header.replace("serial Y2Ft", "serial b3RoZXI=")
            return answer

        world.store.create = altered  # type: ignore[method-assign]
        await _docked(world)
        await world.until(lambda: _state(world) == "held")
        clip = await world.running.ledger.clip(ClipKey(1))
        assert clip.reason is Reason.RECEIPT
        assert "covers other metadata than was sent" in clip.detail
        assert b"A.MP4" in world.rack.cameras["cam"].files

    play(scene)


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.FORGED, "signature is not valid under the pinned key"),
        (Fault.WRONG_CLIP, "is for another clip"),
        (Fault.WRONG_STATION, "is for another station"),
        (Fault.WRONG_DIGEST, "sha256 differs from the bytes read from the camera"),
        (Fault.WRONG_METADATA, "covers other metadata than was sent"),
        (Fault.OTHER_KEY, "signed by a key that is not pinned here"),
        (Fault.NOT_CANONICAL, "not a receipt in canonical form"),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else "",
)
def test_a_receipt_that_proves_nothing_holds_the_clip_and_erases_nothing(fault: Fault, words: str) -> None:
    async def scene(world: Scene) -> None:
        world.plan(fault)
        world.plan(Fault.LATE)
        await _docked(world)
        await world.rest()
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state, clip.reason) == ("held", Reason.RECEIPT)
        assert words in clip.detail
        assert world.rack.cameras["cam"].files[b"A.MP4"].data == b"a" * 900
        assert (await world.bay(1)).lamp == "leave"

    play(scene)


def test_a_store_that_will_never_take_a_clip_holds_it_and_says_why() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.REFUSED)
        await _docked(world)
        await world.rest()
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state, clip.reason) == ("held", Reason.REFUSED)
        assert re.fullmatch("POST answered 4(00|13|15): no", clip.detail)
        assert world.rack.cameras["cam"].files

    play(scene)


@pytest.mark.promise("I17")
@pytest.mark.parametrize("fault", [Fault.WRONG_DIGEST, Fault.REFUSED], ids=lambda fault: fault.value)
def test_an_answer_that_would_have_held_a_clip_is_not_believed_later_where_the_hold_could_not_be_written(
    fault: Fault,
) -> None:
    async def scene(world: Scene) -> None:
        world.plan(fault, 1)
        await _docked(world)
        await world.until(lambda: world.planned.injected[fault], every_s=0.001)
        # The answer is on its way, and the next commit is the hold that it leads to.
        world.plan(Fault.LEDGER_FULL, 1)
        await world.rest()
        assert world.planned.injected[Fault.LEDGER_FULL] == 1
        assert "held" not in world.custody(1)
        assert _state(world) == "erased"

    play(scene)


@pytest.mark.promise("I17")
def test_there_is_no_limit_on_tries_while_there_is_progress() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", {"A.MP4": b"a" * 40_000}), 1)
        await world.until(lambda: world.clips("A.MP4"))
        world.plan(Fault.BROKEN_BODY, 9)
        await world.until(lambda: _state(world) == "erased", within_s=120)
        assert world.planned.injected[Fault.BROKEN_BODY] == 9
        assert "held" not in world.custody(1)

    play(scene)


def test_progress_makes_the_waits_short_again() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        world.dock(world.camera("cam", {"A.MP4": b"a" * 9000}), 1)
        await world.until(lambda: world.clips("A.MP4"))
        await asyncio.sleep(600)
        uplink = (await world.running.station.view()).uplink
        assert uplink.failures > 5
        assert uplink.failing_s > 500
        world.plan(Fault.BLACK_HOLE, 0)
        world.plan(Fault.BROKEN_BODY, 1)
        await world.until(lambda: any(upload.data for upload in world.store.uploads.values()))
        await world.until(lambda: " answered 200 " in world.fate.lines[-1], every_s=0.001)  # the HEAD that tells of it
        world.plan(Fault.BUSY, 1)
        await world.until(lambda: not world.planned.plan[Fault.BUSY])
        await asyncio.sleep(0.3)
        uplink = (await world.running.station.view()).uplink
        assert (uplink.failures, uplink.reason) == (1, Reason.STORE)
        await world.rest()
        assert _state(world) == "erased"

    play(scene)
