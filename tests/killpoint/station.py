"""The two-clip run of a station: `dockd ingest CARD --erase`, struck at one call, judged, and brought to its end.

Owns the card, the command line and what is asked of a station that was struck. The store beside it is not struck.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from dockd import cli
from dockd.app import bus, reclaim
from dockd.domain import schedule
from dockd.edges.keys import PinnedKeys
from dockd.edges.ledger.audit import verify_state
from dockd.ingest import command
from tests.killpoint import judge
from tests.killpoint.calls import all_changes, names_only
from tests.killpoint.family import Family, Program
from tests.killpoint.faults import Point, Strike
from tests.killpoint.judge import Scene
from tests.killpoint.order import StationWatch
from tests.killpoint.verdict import Verdict, words_wrong
from tests.system.programs import StoreProcess

STATION = "desk-1"
VIDEO, SIDECAR = b"DCIM/100DOCKD/CLIP0001.MP4", b"DCIM/100DOCKD/CLIP0001.GPX"
VIDEO_BYTES = 70_000
CODES = frozenset({0, 1, 71, 74, 75, 78})
"""Of README.md: 70, which is dockd contradicting itself, is none that a fault of the disk explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A reference store that runs: its folder, address and public key."""

    folder: Path
    url: str
    key: str


def originals() -> dict[bytes, bytes]:
    """Give what is on the card: the video of one recording, and its sidecar."""
    header = (24).to_bytes(4, "big") + b"ftypisom" + bytes(12)
    return {VIDEO: header + bytes(range(256)) * (VIDEO_BYTES // 256), SIDECAR: b"<gpx><trk/></gpx>\n" * 20}


def scene_of(root: Path, store: Store) -> Scene:
    """Make a card of a camera of its own, so that runs share a store and nothing else."""
    scene = Scene(
        root=root, store=store.folder, key=store.key, station=STATION, serial=root.name, originals=originals()
    )
    for path, data in scene.originals.items():
        file = scene.card / path.decode("ascii")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return scene


def ingest_arguments(scene: Scene, url: str) -> Sequence[str]:
    """Write the command line."""
    where = ("--to", url, "--store-key", scene.key, "--state", str(scene.state), "--reserve", "1M")
    return ("ingest", str(scene.card), *where, "--station", STATION, "--camera", scene.serial, "--erase", "--json")


def hasty(arguments: Sequence[str]) -> int:
    """Run dockd with its pauses cut short: what it does between them is what is tried here."""
    bus.DISK_WAIT_S, bus.NO_ROOM_WAIT_S, bus.AGAIN_WAIT_S = 0.1, 0.2, 0.05
    command.LOOK_S, reclaim.LOOK_S = 0.02, 0.1
    schedule.BACKOFF_FIRST_S, schedule.RETRY_AFTER_MOST_S = 0.05, 0.1
    return cli.main(arguments)


def verified(scene: Scene) -> Sequence[str]:
    """Ask what `dockctl verify` asks."""
    return verify_state(scene.state, PinnedKeys.read([scene.key]).verify).faults


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRun:
    """Runs of one program against one store."""

    root: Path
    store: Store
    program: Program = hasty
    _number: Iterator[int] = field(default_factory=count)

    def points(self) -> Sequence[Point]:
        """Give the points of a run that nothing strikes; see `Run`."""
        scene = self._scene()
        watch = StationWatch(scene=scene)
        ended = self._start(scene, watch, None).ended()
        wrong = [*watch.faults, *watch.unnamed(), *judge.in_the_end(scene), *verified(scene)]
        if ended.code or wrong:
            raise AssertionError(f"struck by nothing: {ended.code} {wrong} {ended.stdout} {ended.stderr}")
        shutil.rmtree(scene.root)
        return ended.points

    def run_point(self, strike: Strike) -> Verdict:
        """Strike one run and judge it; see `Run`."""
        scene = self._scene()
        try:
            return self._judged(scene, strike)
        finally:
            shutil.rmtree(scene.root)

    def _judged(self, scene: Scene, strike: Strike) -> Verdict:
        watch = StationWatch(scene=scene)
        try:
            ended = self._start(scene, watch, strike).ended()
        except TimeoutError as error:
            return Verdict(strike=str(strike), struck=True, code=0, said="", wrong=(f"then: hangs: {error}",))
        then = [*watch.faults, *watch.unnamed(), *words_wrong(ended, strike, codes=CODES)]
        then += watch.kept() if ended.code >= 0 else []
        later = [] if ended.code else list(judge.in_the_end(scene))
        if ended.code or later:  # not at the end of its work: what was wrong at once is told apart
            then += judge.after_a_fault(scene)
            then += [] if ended.code else judge.without_receipt(scene)
            later = [*self._later(scene), *judge.in_the_end(scene)]
        later += (f"dockctl verify: {fault}" for fault in verified(scene))
        return Verdict(
            strike=str(strike),
            struck=ended.struck,
            code=ended.code,
            said=f"{ended.stdout[-400:]}{ended.stderr[-400:]}",
            wrong=(*(f"then: {fault}" for fault in then), *(f"later: {fault}" for fault in later)),
        )

    def _later(self, scene: Scene) -> list[str]:
        """Run again without a fault; of its calls those are watched that give and take names."""
        watch = StationWatch(scene=scene, sees_syncs=False)
        try:
            ended = self._start(scene, watch, None, again=True).ended()
        except TimeoutError as error:
            return [f"hangs: {error}"]
        said = [f"exit code {ended.code}: {ended.stdout[-300:]} {ended.stderr[-800:]}"] if ended.code else []
        return [*watch.faults, *said]

    def _scene(self) -> Scene:
        return scene_of(self.root / f"camera-{next(self._number)}", self.store)

    def _start(self, scene: Scene, watch: StationWatch, strike: Strike | None, *, again: bool = False) -> Family:
        return Family.start(
            self.program,
            ingest_arguments(scene, self.store.url),
            root=scene.root,
            choices=names_only() if again else all_changes(),
            watch=watch,
            strike=strike,
        )


@contextmanager
def station_run(root: Path, program: Program) -> Iterator[StationRun]:
    """Give runs beside a store of their own, which is another process and ends with the block."""
    with StoreProcess(root / "central", ("--reserve", "1")) as process:
        yield StationRun(
            root=root, store=Store(folder=process.folder, url=process.url, key=process.key), program=program
        )
