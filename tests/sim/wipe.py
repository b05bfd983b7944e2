"""A station whose spool or ledger is wiped, damaged or set back at a random instant: no clip is lost.

Owns what is lost and when. Everything else is a shift's. `run(seed)` is the same every time.
"""

import asyncio
import sys
from collections import Counter
from enum import StrEnum

from dockd.domain.model import Assurance
from dockd.domain.recovery import Basis, Lost
from tests.sim.day import happen, wait
from tests.sim.fate import Fate, Fault
from tests.sim.loop import SpinError, StuckError, simulate
from tests.sim.shift import PLANS, Outcome, begin, calm, judge, some_s, words
from tests.sim.world import Setup, World, policy_of

TWICE = 0.2
"""So many stations lose something twice."""


NOTICED = "receipts of a forgotten chain, found by the accounts"


class Loss(StrEnum):
    """What is lost."""

    SPOOL_UNDER_RUN = "spool wiped under the running program"
    SPOOL = "spool wiped"
    LEDGER = "ledger wiped"
    LEDGER_AND_SPOOL = "ledger and spool wiped"
    LEDGER_DAMAGED = "ledger damaged, a beginning of its chain known"
    FOLDER = "whole state folder wiped, nothing known"
    SET_BACK = "whole state folder set back, unnoticed"


class Losing(Fate):
    """A fate without cameras that overwrite a clip themselves: that is no loss of ours."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.possible -= {Fault.REPLACED, Fault.TWIN}
        self.losses: Counter[str] = Counter()


def run(seed: int) -> Outcome:
    """Run one shift with a loss in it."""
    fate = Losing(seed)
    setup = Setup(policy=policy_of(fate, wanted=Assurance.SIGNED), receipts=True)
    try:
        error, states = simulate(lambda: _run(fate, setup))
    except (SpinError, StuckError) as caught:
        error, states = f"I17: {type(caught).__name__}: {caught}", Counter()
    return Outcome(
        seed=seed,
        error=error,
        trace_sha256=fate.trace_sha256(),
        injected=fate.injected,
        states=states,
        lines=tuple(fate.lines),
        losses=fate.losses,
    )


async def _run(fate: Losing, setup: Setup) -> tuple[str, Counter[str]]:
    world = World(fate, setup=setup, buses=dict(fate.random.choice(PLANS)))
    error = ""
    try:
        await _shift(world, fate)
        await calm(world)
        judge(world)
        if world.forgotten and fate.losses.total() == 1:
            fate.losses[NOTICED] = world.auditor.noticed()
    except Exception as caught:  # noqa: BLE001 - whatever it is, it is this seed's outcome
        error = words(caught)
        await world.abandon()
    states = Counter(row.state for row in world.auditor.rows())
    world.books.connection.close()
    return error, states


async def _shift(world: World, fate: Losing) -> None:
    begin(world)
    happenings = fate.random.randrange(4, 12)
    instants = fate.random.sample(range(happenings), 2 if fate.random.random() < TWICE else 1)
    image = b""
    for number in range(happenings):
        if not image and world.auditor.rows() and fate.random.random() < 0.3:
            image = world.books.connection.serialize()
        await wait(world, some_s(fate))
        if number in instants:
            await _lose(world, fate, image)
        await wait(world, some_s(fate))
        await happen(world)


async def _lose(world: World, fate: Losing, image: bytes) -> None:
    loss = fate.random.choice([loss for loss in Loss if image or loss is not Loss.SET_BACK])
    fate.losses[loss.value] += 1
    fate.note(f"LOSS {loss.value}")
    if loss is Loss.SPOOL_UNDER_RUN:
        world.disk.vanish()
        return
    await fate.random.choice((world.lose_power, world.kill, world.stop))()
    if loss in {Loss.SPOOL, Loss.LEDGER_AND_SPOOL, Loss.FOLDER}:
        world.disk.vanish()
    match loss:
        case Loss.LEDGER | Loss.LEDGER_AND_SPOOL:
            world.books.lose(
                Lost(why="the database is there no more", head=world.books.heads()[-1], basis=Basis.CHECKPOINT)
            )
        case Loss.LEDGER_DAMAGED:
            head = fate.random.choice(world.books.heads())
            world.books.lose(Lost(why="a page is torn", head=head, basis=Basis.DATABASE, set_aside="set-aside-1"))
        case Loss.FOLDER:
            world.books.lose(None)
            world.forgotten = True
        case Loss.SET_BACK:
            world.books.set_back(image)
            world.forgotten = True
        case _:
            pass
    world.auditor.begin_anew(world.books.connection)
    _make_room(world)
    await asyncio.sleep(fate.between(0.1, 20))
    world.boot()


def _make_room(world: World) -> None:
    """Move copies away that no clip names and no camera has any more, as people do: they stay otherwise (I12)."""
    named = {row.clip_id for row in world.auditor.rows()}
    files = {file.data for camera in world.cameras for file in (*camera.files.values(), *camera.limbo.values())}
    for clip_id, data in list(world.disk.seen.items()):
        if clip_id not in named and data not in files:
            world.disk.take_away(clip_id)
            world.fate.note(f"people take {clip_id[:8]} away")


def main() -> None:
    """Show one run."""
    outcome = run(int(sys.argv[1]))
    print(*outcome.lines, outcome, sep="\n")  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    main()
