"""What tests of a station's accounts share: a camera that comes and goes, a day, a list that lies, the records."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from dockd.app.accounting import DAY_S, FIRST_S, AccountView
from dockd.domain.accounting import Given
from dockd.domain.model import ClipId
from tests.sim.auditor import Auditor
from tests.sim.books import Books
from tests.sim.scene import Scene
from tests.sim.world import STATION

CLIP = {"A.MP4": b"a" * 900}
CLIPS = {f"{number}.MP4": bytes([number]) * 100 for number in range(5)}
Plant = Callable[[Sequence[Given]], Sequence[Given]]


def differences(world: Scene) -> list[tuple[str, str, str]]:
    """What differs, as it is on record."""
    rows = world.books.connection.execute("SELECT kind, clip_id, detail FROM differences ORDER BY key")
    return [(kind, clip_id, detail) for kind, clip_id, detail in rows]


def kinds(world: Scene) -> list[str]:
    """What kinds of differences there are."""
    return [kind for kind, *_ in differences(world)]


def facts(world: Scene, cause: str) -> list[tuple[str, str | None]]:
    """The occasion and the named clips of every such custody entry."""
    rows = world.books.connection.execute(
        "SELECT json_extract(body, '$.facts.occasion'), json_extract(body, '$.facts.clips') FROM custody"
        " WHERE json_extract(body, '$.cause') = ? ORDER BY seq",
        (cause,),
    )
    return [(occasion, clips) for occasion, clips in rows]


async def shift(world: Scene, files: dict[str, bytes] | None = None, *, name: str = "cam") -> None:
    """Let a camera come, be done with, and go."""
    camera = world.camera(name, files or CLIPS)
    world.dock(camera, 1)
    await world.rest()
    world.pull(camera)
    await asyncio.sleep(2)


async def closed(world: Scene) -> None:
    """Wait for every account."""
    await world.until(lambda: world.running.station.accounted)


async def shown(world: Scene) -> AccountView:
    """How the accounts stand, as people are shown it."""
    view = (await world.running.station.view()).account
    assert view is not None
    return view


async def whole_day(world: Scene) -> None:
    """Let a day go by."""
    await asyncio.sleep(DAY_S + FIRST_S)
    await closed(world)


def without(clip_id: str) -> Plant:
    """A list that lacks a clip."""
    return lambda given: [one for one in given if one.clip_id != clip_id]


def forged(world: Scene, **claims: str | int) -> str:
    """Sign a receipt for whatever is claimed."""
    usual: dict[str, str | int] = {
        "aud": STATION, "clip_id": "e" * 64, "leaf": "0" * 64, "length": 5, "meta_sha256": "a" * 64, "sha256": "b" * 64,
        "store": "simulated", "stored_at": "2024-03-01T06:00:00Z",
    }  # fmt: skip
    return world.store.key.sign(usual | claims)


def with_one_more(receipt: str, clip_id: str = "e" * 64) -> Plant:
    """A list with one more line, before all others."""
    return lambda given: [
        Given(seq=1, clip_id=ClipId(clip_id), receipt=receipt),
        *(replace(one, seq=one.seq + 1) for one in given),
    ]


def begin_anew(world: Scene) -> None:
    """Take an empty database, and let the auditor forget the chain that he saw."""
    world.books.connection.close()
    world.books = Books(world.fate, station=STATION, clock=world.clock, committed=world._committed)
    world.auditor = Auditor(
        connection=world.books.connection,
        disk=world.disk,
        store=world.store,
        rack=world.rack,
        now_s=world.clock.monotonic_s,
    )
    world.disk.discarding = world.auditor.discarding
