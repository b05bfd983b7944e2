"""One life of a station and its store in one process: `python -m tests.powercut.life JSON`.

The real `dockd.compose.running` and the real store, two cameras docked, one of them pulled and docked again, until
everything is settled. What they tell anybody is put on the log as a claim the moment it is told. Owns who is told what;
judges nothing.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from dockd.app.policy import Policy
from dockd.app.ports import Attached, Cards, Detached, FeedEvent
from dockd.central.main import CentralOptions, serve
from dockd.compose import Plan, WireOptions, pinned_keys, running
from dockd.domain.clip import Change, Move
from dockd.domain.lamps import Lamp
from dockd.domain.model import Assurance, BayId, Camera, CameraSerial, Clip, ClipKey, DockingId, StationId, VolumeId
from dockd.domain.profile import Trigger
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.profiled import ProfiledCards
from dockd.edges.profiles import load_profiles
from dockd.edges.tus_http import TusWire
from dockd.tus.message import Request, Response
from tests.powercut.plants import plant, put

STATION = StationId("north-1")
CAMERAS = ("CAM-A", "CAM-B")
LOOK_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one life is to do: where it works, where it claims (nowhere if empty), and how it goes.

    The second camera is pulled after so many moves; the process is killed at that change, or before that sync of a file
    whose name fits (0: never).
    """

    root: str
    claims: str
    port: int
    pull_after: int
    kill_at: int
    kill_before_sync: int = 0
    kill_before_sync_of: str = ""
    plant: str = ""
    within_s: float = 120.0

    def text(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))


class Claims:
    """What the world outside is told: on the log, or kept here where there is none."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.kept: list[bytes] = []
        self.moves = 0
        self.moved = asyncio.Event()

    def say(self, what: str, **facts: object) -> None:
        """Put a claim on the log, now."""
        text = json.dumps({"what": what, **facts}).encode("ascii")
        if self._where:
            os.setxattr(self._where, "user.claim", text)
        else:
            self.kept.append(text)

    def move(self) -> None:
        """Count a move."""
        self.moves += 1
        self.moved.set()


class Rounds:
    """The feed: both cameras come, and the second goes once and comes again."""

    def __init__(self, root: Path, claims: Claims, *, pull_after: int) -> None:
        self._root, self._claims, self._pull_after = root, claims, pull_after
        self.docked: dict[BayId, str] = {}

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Tell what happens at the bays."""
        for number, serial in enumerate(CAMERAS, start=1):
            yield self._attached(BayId(number), serial)
        while self._claims.moves < self._pull_after:
            self._claims.moved.clear()
            await self._claims.moved.wait()
        if self._pull_after:
            del self.docked[BayId(2)]
            yield Detached(bay=BayId(2))
            yield self._attached(BayId(2), CAMERAS[1])

    def _attached(self, bay: BayId, serial: str) -> Attached:
        self.docked[bay] = serial
        camera = Camera(serial=CameraSerial(serial), volume=VolumeId("folder"))
        return Attached(bay=bay, camera=camera, source=str(self._root / "cameras" / serial))


def profiled(cards: Cards) -> Cards:
    """Have cards read by a profile that is another one at the next docking: what was read must stay."""
    (shipped,) = (profile for profile in load_profiles() if profile.name == "dcf")
    profiles = cycle((shipped, replace(shipped, name="changed", trigger=Trigger.BUTTON, recording=())))
    return ProfiledCards(cards, profile_of=lambda _: next(profiles))


class ToldLamps:
    """Lamps whose meaning is a claim."""

    def __init__(self, claims: Claims, rounds: Rounds) -> None:
        self._claims, self._rounds = claims, rounds

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Tell what a lamp says of the camera that is there now."""
        serial = self._rounds.docked.get(bay)
        if serial is not None:
            self._claims.say("lamp", lamp=lamp.value, camera=serial)


def listen_in(claims: Claims) -> None:
    """Put every answer of the ledger, and every receipt that the store gives, on the log as it is given."""
    move, dock, exchange = StationLedger.move, StationLedger.dock, TusWire.exchange

    async def told_move(ledger: StationLedger, key: ClipKey, move_: Move, change: Change, *, actor: str) -> Clip:
        clip = await move(ledger, key, move_, change, actor=actor)
        claims.say(
            "moved",
            key=key,
            move=move_.value,
            state=clip.state.value,
            sha256=clip.sha256,
            clip_id=clip.clip_id,
            url=clip.url,
            leaf=await ledger.leaf(key),
        )
        claims.move()
        return clip

    async def told_dock(ledger: StationLedger, attached: Attached) -> DockingId:
        docking = await dock(ledger, attached)
        claims.say("docked", docking=docking)
        return docking

    async def told_exchange(wire: TusWire, request: Request, **known: Any) -> Response:  # noqa: ANN401 - passed through
        response = await exchange(wire, request, **known)
        if receipt := response.headers.get("clip-receipt"):
            claims.say("receipt", jws=receipt)
        return response

    put(StationLedger, "move", told_move)
    put(StationLedger, "dock", told_dock)
    put(TusWire, "exchange", told_exchange)


async def live(order: Order, claims: Claims) -> None:
    """Run until everything is settled.

    Raises:
        TimeoutError: it is not, in time.

    """
    root = Path(order.root)
    async with (
        asyncio.timeout(order.within_s),
        serve(CentralOptions(dir=root / "store", port=order.port, reserve_bytes=0)) as store,
    ):
        claims.say("key", public=store.public_key)
        rounds = Rounds(root, claims, pull_after=order.pull_after)
        plan = Plan(
            bays={BayId(1): "bus", BayId(2): "bus"},
            policy=Policy(
                station=STATION,
                endpoint=store.url,
                wanted=Assurance.SIGNED,
                erase=True,
                reserve_bytes=0,
                growing_wait_s=0.1,
            ),
            state_dir=root / "station",
            wire=WireOptions(endpoint=store.url),
            keys=pinned_keys([store.public_key], setting="store"),
            feed=rounds,
            lamps=ToldLamps(claims, rounds),
            pace=profiled,
        )
        async with running(plan) as run:
            while not run.station.settled:  # noqa: ASYNC110 - the station rings no bell for others
                await asyncio.sleep(LOOK_S)
            claims.say("settled")
            await run.station.undock_all()


def kill(claims: str, when: str) -> None:
    """Have this process killed at a change, or before a sync: `strictfs` says how that is written."""
    os.setxattr(claims, "user.kill", f"{os.getpid()} {when}".encode("ascii"))


def main(order: Order) -> None:
    """Live once."""
    plant(order.plant, Path(order.root))
    claims = Claims(order.claims)
    listen_in(claims)
    if order.kill_at:
        kill(order.claims, str(order.kill_at))
    if order.kill_before_sync:
        kill(order.claims, f"{order.kill_before_sync} {order.kill_before_sync_of}")
    asyncio.run(live(order, claims))


if __name__ == "__main__":
    main(Order(**json.loads(sys.argv[1])))
