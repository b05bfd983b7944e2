"""`dockd run`: the daemon, from its configuration to a clean end.

Owns start, the socket, systemd's watchdog and stop. What a station does is the app's.
"""

import argparse
import asyncio
import grp
import logging
import signal
import sys
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from dockd.compose import Plan, control_socket, log_to, running, simulated, watched
from dockd.config import Config, check_files, load
from dockd.errors import ConfigError
from dockd.hardware import docked, hardware_of

EX_OK = 0
LOOK_S = 5.0

_log = logging.getLogger(__name__)


def check_config(arguments: argparse.Namespace) -> int:
    """Show every wrong setting, of board and profiles too where a board is set.

    Raises ConfigError with all of them; 0 where there is none.
    """
    return _nothing_wrong(arguments.config, _load(arguments.config, real=False))


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    config = _load(arguments.config, real=not arguments.simulate)
    if arguments.check_config:
        return _nothing_wrong(arguments.config, config)
    log_to(config, sys.stderr)
    asyncio.run(_run(config, simulated(config) if arguments.simulate else docked(config)))
    return EX_OK


def _nothing_wrong(path: Path, config: Config) -> int:
    lacking = " for dockd run --simulate; real bays want hardware.board" if config.hardware.board is None else ""
    sys.stdout.write(f"{path}: nothing wrong{lacking}\n")
    return EX_OK


def _load(path: Path, *, real: bool) -> Config:
    """Load what has no problem; bays that are `real` need a board."""
    config = load(path)
    problems = list(check_files(config))
    if real or config.hardware.board is not None:
        try:
            hardware_of(config)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return config


async def _run(config: Config, planned: AbstractAsyncContextManager[Plan]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    systemd = watched()
    async with (
        planned as plan,
        running(plan) as station,
        control_socket(config, station, group=_group(config)),
    ):
        systemd.ready()
        _log.info("station %s: %d bays, store %s", config.station.id, len(config.bays), config.store.url)
        every_s = min(LOOK_S, (systemd.watchdog_s or LOOK_S) / 2)
        while not stop.is_set():
            # Through the ledger and back: a loop or a writer that hangs feeds no watchdog.
            view = await station.station.view()
            systemd.alive()
            systemd.status(f"{sum(bay.camera is not None for bay in view.bays)} of {len(view.bays)} bays in use")
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await stop.wait()
        systemd.stopping()


def _group(config: Config) -> str | None:
    """Give the group of the socket, or None where this machine has no such group: then only dockd's user may ask."""
    try:
        grp.getgrnam(config.control.group)
    except KeyError:
        _log.warning("group %s: not on this machine; the socket is for this user only", config.control.group)
        return None
    return config.control.group
