"""A store that answers by a random script, and then becomes honest: no erasure without proof, and no endless waiting.

Owns the script and the course of such a run. `run(seed)` is the same every time.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable

from dockd.app.policy import Policy
from dockd.domain.model import Assurance, BayId
from dockd.tus.message import Request, Response
from tests.sim import cameras, wire
from tests.sim.auditor import PROVEN
from tests.sim.fate import Fate, Fault
from tests.sim.loop import SpinError, StuckError, simulate
from tests.sim.promise import require
from tests.sim.shift import Outcome, words
from tests.sim.store import ENDPOINT
from tests.sim.world import STATION, Setup, World

KINDS = (
    *(Fault.BLACK_HOLE, Fault.FLAP, Fault.NO_TRUST, Fault.SLOW_LINK, Fault.SLOWLORIS, Fault.DUPLICATE),
    *(Fault.BROKEN_BODY, Fault.LOST_ANSWER, Fault.PAGE, Fault.REDIRECT, Fault.CONFLICT, Fault.LOCKED, Fault.GONE),
    *(Fault.BUSY, Fault.AUTH, Fault.REFUSED, Fault.OFFSET_BACK, Fault.OFFSET_TOO_HIGH, Fault.BYTES_LOST, Fault.LATE),
    *(Fault.FORGED, Fault.WRONG_CLIP, Fault.REPLAYED, Fault.WRONG_STATION, Fault.WRONG_DIGEST, Fault.WRONG_METADATA),
    *(Fault.WRONG_LENGTH, Fault.OTHER_KEY, Fault.NOT_CANONICAL),
)
"""What a script is made of: the catalogue's 41 to 60."""
MOST_ANSWERS = 40
MOST_FILES = 3
PER_CLIP_S = 30.0
TWICE = 2.0
ENDLESS_S = 7 * 86_400.0


class Scripted(Fate):
    """A fate in which each request to the store is struck by what the script says for it, and nothing else happens."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.possible = frozenset()
        kinds = self.random.sample(KINDS, self.random.choice((1, 2, 4, 8, len(KINDS))))
        self._script = [self._entry(kinds) for _ in range(self.random.randrange(1, MOST_ANSWERS))]
        self._now: dict[asyncio.Task[object] | None, frozenset[Fault]] = {}
        self.firm_until_s = 0.0

    def over(self) -> bool:
        """Say whether every answer of the script was given."""
        return not self._script and not any(self._now.values())

    def _entry(self, kinds: list[Fault]) -> frozenset[Fault]:
        honest = self.random.random() < 0.3
        return (
            frozenset()
            if honest
            else frozenset(self.random.sample(kinds, min(len(kinds), self.random.choice((1, 1, 2, 3)))))
        )

    def begins(self, request: Request) -> None:
        """Take the next entry."""
        entry = self._script.pop(0) if self._script else frozenset[Fault]()
        self._now[asyncio.current_task()] = entry
        self.note(f"{request.method} {request.url} meets {sorted(fault.value for fault in entry)}")

    def ended(self, answer: Response | None) -> None:
        """Forget the entry; what the store asked for is not waiting of ours."""
        self._now.pop(asyncio.current_task(), None)
        if answer is not None and "retry-after" in answer.headers:
            until_s = asyncio.get_running_loop().time() + float(answer.headers["retry-after"])
            self.firm_until_s = max(self.firm_until_s, until_s)

    def strikes(self, fault: Fault, where: str = "") -> bool:
        """Strike as written."""
        if fault not in self._now.get(asyncio.current_task(), ()):
            return False
        self.struck(fault, where)
        return True

    def lasts(self, fault: Fault, where: str = "", *, of: str = "") -> bool:
        """Last for one request."""
        return self.strikes(fault, f"{of} {where}")


def run(seed: int) -> Outcome:
    """Run one script."""
    fate = Scripted(seed)
    try:
        error, states = simulate(lambda: _run(fate))
    except (SpinError, StuckError) as caught:
        error, states = f"I17: {type(caught).__name__}: {caught}", Counter()
    return Outcome(
        seed=seed,
        error=error,
        trace_sha256=fate.trace_sha256(),
        injected=fate.injected,
        states=states,
        lines=tuple(fate.lines),
    )


async def _run(fate: Scripted) -> tuple[str, Counter[str]]:
    policy = Policy(
        station=STATION,
        endpoint=ENDPOINT,
        wanted=Assurance.SIGNED,
        erase=True,
        reserve_bytes=1000,
        uploads_at_once=fate.random.choice((1, 2, 3)),
        receipt_s=60.0,
    )
    world = World(fate, setup=Setup(policy=policy, receipts=True), buses={BayId(1): "a"})
    error = ""
    try:
        await _script(world, fate)
        await _honest(world, fate)
    except Exception as caught:  # noqa: BLE001 - whatever it is, it is this seed's outcome
        error = words(caught)
        await world.abandon()
    states = Counter(row.state for row in world.auditor.rows())
    world.books.connection.close()
    return error, states


async def _script(world: World, fate: Scripted) -> None:
    """Dock the camera, again and again where all its clips are held, until the script is over."""
    camera = world.add_camera(files=fate.random.randrange(1, MOST_FILES + 1))
    world.boot()
    end_s = asyncio.get_running_loop().time() + ENDLESS_S
    while not fate.over():
        if camera.bay is None:
            world.rack.dock(camera, BayId(1))
            await _until(world, lambda: bool(world.auditor.rows()) or fate.over(), end_s=end_s)
        await _until(world, lambda: fate.over() or not _open(world), end_s=end_s)
        if fate.over() or not camera.files:
            break
        await _erased(world)
        world.rack.pull(camera)
        await asyncio.sleep(1)
    fate.calm = True
    fate.note("calm")
    world.store.hurry()


async def _honest(world: World, fate: Scripted) -> None:
    """Wait no longer than was promised, then dock the camera once more: nothing may be left on it."""
    loop = asyncio.get_running_loop()
    begun_s, firm_s = loop.time(), max(0.0, fate.firm_until_s - loop.time())
    (camera,) = world.cameras
    bytes_ = sum(row.length_bytes for row in world.auditor.rows())
    clips = len(world.auditor.rows())
    nominal_s = bytes_ / cameras.RATE_BYTES_S + bytes_ / wire.RATE_BYTES_S + PER_CLIP_S * clips
    await _until(world, lambda: not _open(world), end_s=loop.time() + ENDLESS_S)
    took_s = loop.time() - begun_s - firm_s
    require(took_s <= TWICE * nominal_s, f"I17: {clips} clips took {took_s:.0f} s, nominal are {nominal_s:.0f} s")
    await _erased(world)
    if camera.files:
        world.rack.pull(camera)
        await asyncio.sleep(1)
        world.rack.dock(camera, BayId(1))
        await _until(world, lambda: not camera.files, end_s=loop.time() + 600)
        await _erased(world)
    for broken in world.broken:
        raise broken
    world.auditor.look_at_lamps()
    world.auditor.final()
    left = {row.path: row.state for row in world.auditor.rows() if row.state != "erased"}
    require(not left, f"I17: the store is honest, and {left} is left")
    await world.stop()


def _open(world: World) -> bool:
    """Say whether a clip is neither receipted nor held."""
    rows = world.auditor.rows()
    return not rows or any(row.state not in PROVEN | {"held"} for row in rows)


async def _erased(world: World) -> None:
    """Let the bus finish."""
    await asyncio.sleep(1)
    end_s = asyncio.get_running_loop().time() + 600
    await _until(world, lambda: world.running.station.offloaded, end_s=end_s)


async def _until(world: World, holds: Callable[[], bool], *, end_s: float) -> None:
    loop = asyncio.get_running_loop()
    pause_s = 0.1
    while not holds():
        for broken in world.broken:
            raise broken
        if world.running.task.done():
            world.running.task.result()
        require(loop.time() < end_s, "I17: it does not end")
        await asyncio.sleep(pause_s)
        pause_s = min(2.0, pause_s * 1.2)


def main() -> None:
    """Show one run."""
    outcome = run(int(sys.argv[1]))
    print(*outcome.lines, outcome, sep="\n")  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    main()
