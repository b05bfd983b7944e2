"""The ingest itself: a station with one card, until all is done that can be done.

Owns when that is, and the exit code. The road that clips go is the station's.
"""

import argparse
import asyncio
import signal
import time

from dockd.compose import Running, running
from dockd.domain.model import ClipState
from dockd.errors import Reason
from dockd.ingest.arguments import Settings, settings_of
from dockd.ingest.card import BAY
from dockd.ingest.telling import SETTLED, Report, Summary, reporting, tell, troubled

LOOK_S = 0.1
ACCOUNT_S = 5.0
"""So long the account is waited for; one that is not closed by then is closed by the next run."""
EX_OK, EX_UNPROVEN, EX_TEMPFAIL = 0, 1, 75


def run(arguments: argparse.Namespace) -> int:
    """Bring a card to the store. Returns 0, 1 or 75; raises what `cli` turns into words."""
    settings = settings_of(arguments)
    return asyncio.run(_ingest(settings))


async def _ingest(settings: Settings) -> int:
    began_s = time.monotonic()
    async with running(settings.plan) as run_:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with reporting(as_json=settings.as_json) as report:
            code = await _watch(run_, settings, stop, report)
        clips = [clip async for clip in run_.clips_of_bay(BAY)]
        view = await run_.station.view()
        await run_.station.undock_all()
        if code == EX_OK:
            await _accounted(run_)
    broke = view.bays[0].detail
    proven = [clip for clip in clips if clip.state in SETTLED and run_.is_proven(clip)]
    held = [clip for clip in clips if clip.state is ClipState.HELD]
    summary = Summary(
        clips=len(clips),
        bytes_=sum(clip.length_bytes for clip in clips),
        receipted=len(proven),
        quarantined=len(held),
        erased=sum(clip.state is ClipState.ERASED for clip in clips),
        unproven=len(clips) - len(proven) - len(held),
        elapsed_s=time.monotonic() - began_s,
    )
    away = view.uplink.detail if code == EX_TEMPFAIL else ""
    tell(summary, troubled(clips, view.uplink), as_json=settings.as_json, trouble=broke or away)
    if code == EX_OK and (broke or summary.receipted < summary.clips):
        return EX_UNPROVEN
    return code


async def _accounted(run_: Running) -> None:
    for _ in range(round(ACCOUNT_S / LOOK_S)):
        if run_.station.accounted:
            return
        await asyncio.sleep(LOOK_S)


async def _watch(run_: Running, settings: Settings, stop: asyncio.Event, report: Report) -> int:
    """Wait until all is done that can be done, and say how it ended so far."""
    while True:
        view = await run_.station.view()
        report.show(view)
        uplink = view.uplink
        if run_.station.settled:
            return EX_OK
        if stop.is_set():
            return EX_TEMPFAIL
        nothing_to_copy = run_.station.offloaded or run_.station.full
        if nothing_to_copy and uplink.reason is Reason.AUTH and uplink.failures > 1:
            return EX_UNPROVEN
        if nothing_to_copy and uplink.failing_s > settings.patience_s:
            return EX_TEMPFAIL
        if run_.station.stuck:
            return EX_TEMPFAIL  # the disk is full: with room it goes on
        try:
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue
