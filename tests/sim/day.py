"""What people, power and time do to a station: cameras come and go, the program ends and begins, the clock jumps.

Owns one happening after another. What the ports do by themselves is theirs.
"""

import asyncio

from tests.sim.cameras import SimCamera
from tests.sim.fate import Fault
from tests.sim.world import World, only_disk

JUMPS_S = (-3 * 86_400.0, 400 * 86_400.0, -7200.0)


async def happen(world: World) -> None:
    """Let something happen, or several things at once, or nothing."""
    fate = world.fate
    if fate.strikes(Fault.CLOCK_JUMP):
        world.clock.ahead_s += fate.random.choice(JUMPS_S)
    if fate.strikes(Fault.BIT_ROT):
        world.disk.rot()
    if fate.strikes(Fault.VANISHED):
        world.disk.vanish()
    await _end_and_begin(world)
    await _shake(world)
    _dock_or_pull(world)


async def _end_and_begin(world: World) -> None:
    """End the program in one of the ways in which programs end, or let it be."""
    fate = world.fate
    if fate.strikes(Fault.RESTART):
        await world.stop()
        await asyncio.sleep(1)
        if fate.strikes(Fault.CLOCK_1970):
            world.clock.start_in_1970()
        world.boot()
    elif fate.strikes(Fault.KILLED):
        await world.kill()
        await asyncio.sleep(fate.between(0.1, 5))
        world.boot()
    elif fate.strikes(Fault.CUTS):
        for _ in range(fate.random.randrange(2, 6)):
            await cut(world)
            await wait(world, 30)
    elif Fault.POWER_CUT in fate.possible and fate.random.random() < 0.1:
        fate.struck(Fault.POWER_CUT)
        await cut(world)


async def _shake(world: World) -> None:
    """Let devices go and come back by themselves."""
    fate = world.fate
    docked = [camera for camera in world.cameras if camera.bay is not None]
    if docked and fate.strikes(Fault.RESET_LOOP):
        camera = fate.random.choice(docked)
        for _ in range(fate.random.randrange(3, 12)):
            world.rack.rename(camera)
            await wait(world, fate.between(0.01, 1))
    if docked and fate.strikes(Fault.HUB):
        places = [(camera, camera.bay) for camera in world.cameras if camera.bay is not None]
        for camera, _ in places:
            world.rack.pull(camera)
        await wait(world, fate.between(0.01, 3))
        for camera, bay in places:
            world.rack.dock(camera, bay)


def _dock_or_pull(world: World) -> None:
    """Let people come and go."""
    fate = world.fate
    away = [camera for camera in world.cameras if camera.bay is None]
    free = [bay for bay, camera in world.rack.bays.items() if camera is None]
    docked = [camera for camera in world.cameras if camera.bay is not None]
    if docked and fate.strikes(Fault.RENAMED):
        world.rack.rename(fate.random.choice(docked))
    elif docked and away and fate.strikes(Fault.SWAPPED):
        _swap(world, fate.random.choice(docked), fate.random.choice(away))
    elif away and free and fate.random.random() < 0.75:
        camera = fate.random.choice(away)
        world.replace_file(camera)
        world.rack.dock(camera, fate.random.choice(free))
    elif docked and fate.random.random() < 0.6:
        camera = fate.random.choice(docked)
        world.rack.pull(camera)
        if free and fate.random.random() < 0.5:
            # Moved to another bay at once, before the station can have noticed.
            world.rack.dock(camera, fate.random.choice(free))


def _swap(world: World, old: SimCamera, new: SimCamera) -> None:
    bay = old.bay
    assert bay is not None
    world.rack.pull(old)
    world.rack.dock(new, bay)


async def wait(world: World, seconds: float) -> None:
    """Let time pass, and bring the program back whenever it is gone."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        run = world.running
        dark = asyncio.create_task(run.power.cut.wait(), name="cut")
        await asyncio.wait({dark, run.task}, timeout=end_s - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        dark.cancel()
        await asyncio.wait({dark})
        for error in world.broken:
            raise error
        if run.power.cut.is_set():
            await cut(world)
        elif run.task.done():
            only_disk(run.task.exception())
            world.rack.plug_feed(None)
            world.auditor.dark()
            run.power.on = False
            await asyncio.sleep(2)
            world.boot()


async def cut(world: World) -> None:
    """Cut the power, and start again when it is back."""
    await world.lose_power()
    await asyncio.sleep(world.fate.between(1, 30))
    world.boot()
