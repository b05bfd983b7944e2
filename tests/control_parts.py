"""What tests of `dockctl` share: a state folder with clips in quarantine, its daemon's socket, and people at it."""

import asyncio
import http.client
import json
import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockd import ctl
from dockd.app.pointing import Pointing
from dockd.app.ports import Lamps
from dockd.app.quarantine import Quarantine
from dockd.app.uplink import UplinkView
from dockd.app.view import StationView
from dockd.domain.clip import Change, Move
from dockd.domain.model import BayId, Clip, ClipId, ClipKey, ClipState, DockingId, Gap, ListedFile, Sha256, StationId
from dockd.edges.clock import SystemClock
from dockd.edges.control.server import Desk, serving
from dockd.edges.ledger import views
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import Reason
from dockd.sim.lamps import ShownLamps
from tests.ledger_parts import STATION, attached, copied, docked, file, salvage_of, threaded

ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
NOTHING: frozenset[DockingId] = frozenset()
ODD = ListedFile(path=b"DCIM/\x1b[31m<b>\xff.MP4", length_bytes=100, mtime_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What dockctl said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Standard output as JSON."""
        return json.loads(self.out)


class Bays:
    """Nothing is docked."""

    def works_on(self, docking: DockingId) -> bool:
        return docking in NOTHING

    def goes_on(self, clip: Clip) -> None:
        """Have nothing to do with it."""

    def read_again(self, docking: DockingId) -> bool:
        return docking in NOTHING


class Copies:
    """A spool in which every copy is whole."""

    def __init__(self, ledger: StationLedger) -> None:
        self._ledger = ledger

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        (clip,) = await self._ledger.query(views.clips_named(clip_id))
        return None if clip.sha256 is None else (clip.sha256, clip.length_bytes)


class Station:
    """A state folder, its daemon's socket, and people at it."""

    def __init__(self, folder: Path, ledger: StationLedger, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.ledger = ledger
        self.lamps = ShownLamps()
        self._capsys = capsys

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.folder / "control.sock"

    async def types(self, *words: str, offline: bool = False) -> Said:
        """Type a command."""
        where = ("--state", str(self.folder)) if offline else ("--socket", str(self.socket))
        try:
            code = await asyncio.to_thread(ctl.main, [*words, *where])
        except SystemExit as end:
            code = int(str(end.code))
        said = self._capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)

    async def becomes(self, key: int, state: ClipState) -> None:
        """Wait for what was taken on."""
        for _ in range(2000):
            if (await self.ledger.clip(ClipKey(key))).state is state:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"clip {key} does not become {state}")

    async def posts(self, path: str, body: bytes) -> tuple[int, str]:
        """Send what dockctl never would."""
        return await asyncio.to_thread(self._post, path, body)

    def _post(self, path: str, body: bytes) -> tuple[int, str]:
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request("POST", path, body)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said


@pytest.fixture
async def station(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Station]:
    """Clip 1 is unreadable and salvaged as clip 4, clip 2 is held with a copy here, docking 2 broke."""
    async with await threaded(tmp_path) as ledger:
        station = Station(tmp_path, ledger, capsys)
        docking = await docked(ledger, ODD, file("B.MP4"), file("C.MP4"))
        assert [(await ledger.clip(ClipKey(key))).path for key in (1, 2, 3)] == [ODD.path, b"DCIM/B.MP4", b"DCIM/C.MP4"]
        clip = await ledger.clip(ClipKey(1))
        gaps = [Gap(offset_bytes=10, length_bytes=5)]
        await ledger.salvage(clip.key, salvage_of(clip, gaps=gaps), docking=docking)
        unreadable = Change(reason=Reason.UNREADABLE, detail="5 of 100 bytes cannot be read")
        await ledger.move(clip.key, Move.HELD, unreadable, actor="offload")
        await ledger.move(ClipKey(3), Move.COPIED, copied(await ledger.clip(ClipKey(3))), actor="offload")
        await ledger.move(ClipKey(3), Move.HELD, Change(reason=Reason.RECEIPT, detail="forged"), actor="upload")
        await ledger.undock(docking, early=True, left_files=1)
        broke = await ledger.dock(attached(bay=2))
        await ledger.broke(broke, Reason.DUPLICATE_NAME, "b'A' is listed twice")
        async with served(tmp_path, ledger, station.lamps):
            yield station


@asynccontextmanager
async def served(folder: Path, ledger: StationLedger, lamps: Lamps | None = None) -> AsyncIterator[None]:
    async def view() -> StationView:
        uplink = UplinkView(
            reason=None, detail="", failures=0, failing_s=0.0, sending={}, verifying_files=0, overdue_files=0
        )
        backlog = await ledger.backlog()
        return StationView(station=StationId(STATION), bays=(), uplink=uplink, backlog=backlog, spool_full="")

    async def verify() -> dict[str, Any]:
        return {}

    quarantine = Quarantine(ledger=ledger, spool=Copies(ledger), bays=Bays())  # type: ignore[arg-type]  # of a spool only its digest is asked for
    pointing = Pointing(lamps or ShownLamps(), bays=[BayId(1), BayId(2)], clock=SystemClock())
    desk = Desk(view=view, names={}, ledger=ledger, verify=verify, quarantine=quarantine, pointing=pointing)
    async with serving(desk, path=folder / "control.sock", group=None):
        working = [
            asyncio.create_task(quarantine.run(), name="quarantine"),
            asyncio.create_task(pointing.run(), name="pointing"),
        ]
        yield
        for task in working:
            task.cancel()
