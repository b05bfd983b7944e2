"""A station in a world where nothing goes wrong by itself, for tests that choose what does.

Owns the short words in which such a test is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from dockd.app.charging import Gear
from dockd.app.policy import Policy
from dockd.app.view import BayView
from dockd.domain.model import Assurance, BayId, Camera, CameraSerial, VolumeId
from tests.sim.cameras import SimCamera, SimFile
from tests.sim.fate import Fate, Fault
from tests.sim.loop import simulate
from tests.sim.rows import Row
from tests.sim.store import ENDPOINT
from tests.sim.world import ROOM_BYTES, STATION, Setup, World

POLICY = Policy(
    station=STATION, endpoint=ENDPOINT, wanted=Assurance.SIGNED, erase=True, reserve_bytes=1000, uploads_at_once=2
)


class Planned(Fate):
    """A fate in which only the faults happen that a test asks for, each so many times."""

    def __init__(self) -> None:
        super().__init__(7)
        self.plan: dict[Fault, int] = {}

    def strikes(self, fault: Fault, where: str = "") -> bool:
        """Happen as often as planned."""
        if not self.plan.get(fault):
            return False
        self.plan[fault] -= 1
        self.struck(fault, where)
        return True

    def lasts(self, fault: Fault, where: str = "", *, of: str = "") -> bool:
        """Last no longer than planned."""
        return self.strikes(fault, f"{of} {where}")


class Scene(World):
    """A world under a test's control."""

    def __init__(
        self, *, policy: Policy, receipts: bool, buses: Mapping[int, str], broker: bool = True, gear: Gear | None = None
    ) -> None:
        self.planned = Planned()
        super().__init__(
            self.planned,
            setup=Setup(policy=policy, receipts=receipts, broker=broker, gear=gear),
            buses={BayId(number): bus for number, bus in buses.items()},
        )
        # Chance gives some worlds a small disk: here a disk is full when the test says so.
        self.disk.capacity_bytes = max(ROOM_BYTES)

    def plan(self, fault: Fault, times: int = 1_000_000) -> None:
        """Let a fault happen at the next chances."""
        self.planned.plan[fault] = times

    def camera(self, name: str, files: Mapping[str, bytes], *, serial: str | None = None) -> SimCamera:
        """Make a camera of no profile."""
        camera = SimCamera(
            name=name,
            profiles=(None,),
            identity=Camera(serial=CameraSerial(serial or name), volume=VolumeId("0001-0001")),
            files={
                path.encode(): SimFile(data=data, mtime_ns=number) for number, (path, data) in enumerate(files.items())
            },
        )
        self.rack.cameras[name] = camera
        return camera

    def dock(self, camera: SimCamera, bay: int) -> None:
        """Push a camera into a bay."""
        self.rack.dock(camera, BayId(bay))

    def pull(self, camera: SimCamera) -> None:
        """Take a camera out."""
        self.rack.pull(camera)

    async def until(self, holds: Callable[[], Any], *, within_s: float = 600.0, every_s: float = 0.01) -> None:
        """Let time pass until something holds."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        while not holds():
            if self.running.task.done():
                self.running.task.result()
            for error in self.broken:
                raise error
            assert loop.time() < end_s, f"not so within {within_s} s\n" + "\n".join(self.fate.lines[-30:])
            await asyncio.sleep(every_s)

    async def rest(self, *, within_s: float = 3600.0) -> None:
        """Let time pass until nothing is left to do."""
        await asyncio.sleep(0.5)
        await self.until(lambda: self.running.station.offloaded and self.running.station.uploaded, within_s=within_s)

    async def rest_of_bus(self, name: str) -> None:
        """Let time pass until a bus has nothing left to do."""
        await asyncio.sleep(0.5)
        await self.until(lambda: self.running.station._buses[name].resting)

    async def bay(self, number: int) -> BayView:
        """Look at a bay."""
        view = await self.running.station.view()
        return next(bay for bay in view.bays if bay.number == number)

    def clips(self, path: str) -> list[Row]:
        """Every clip of a path, oldest first."""
        return [row for row in self.auditor.rows() if row.path == path.encode()]

    def custody(self, key: int) -> list[str]:
        """The causes of a clip's custody entries, in order."""
        rows = self.books.connection.execute(
            "SELECT json_extract(body, '$.cause') FROM custody WHERE clip = ? ORDER BY seq", (key,)
        )
        return [cause for (cause,) in rows]

    def notes(self, cause: str) -> int:
        """How often something is in the custody log."""
        (count,) = self.books.connection.execute(
            "SELECT count(*) FROM custody WHERE json_extract(body, '$.cause') = ?", (cause,)
        ).fetchone()
        return int(count)


def play(
    main: Callable[[Scene], Awaitable[None]],
    *,
    policy: Policy = POLICY,
    receipts: bool = True,
    buses: Mapping[int, str] | None = None,
    broker: bool = True,
    gear: Gear | None = None,
) -> None:
    """Play a scene from the start of the program to its end."""

    async def whole() -> None:
        scene = Scene(policy=policy, receipts=receipts, buses=buses or {1: "a", 2: "a"}, broker=broker, gear=gear)
        scene.boot()
        try:
            await main(scene)
            for error in scene.broken:
                raise error
            scene.auditor.look_at_lamps()
            scene.auditor.final()
            if scene.run is not None:
                await scene.stop()
        finally:
            await scene.abandon()
            scene.books.connection.close()

    simulate(whole)


def policy(**changed: Any) -> Policy:  # noqa: ANN401 - any of Policy's fields
    """The usual settings, but for these."""
    return replace(POLICY, **changed)
