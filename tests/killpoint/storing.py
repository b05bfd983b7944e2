"""The two-clip run of a store: `dockd central` struck at one call while an honest station brings it both clips.

Owns the order: a first start, the clips, a restart where the store died, a clean stop. The station is not struck.
"""

import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

from dockd.central.signing import open_signer
from tests.killpoint import judge
from tests.killpoint.calls import all_changes, names_only
from tests.killpoint.family import ENDS_WITHIN_S, Ended, Family, Program, serve
from tests.killpoint.faults import Point, Strike
from tests.killpoint.judge import Scene
from tests.killpoint.order import StationWatch, StoreWatch
from tests.killpoint.station import Store, hasty, ingest_arguments, scene_of, verified
from tests.killpoint.verdict import Verdict, words_wrong

CODES = frozenset({0, 69, 75, 77, 78})
LISTENING = "listening on "


@dataclass(slots=True, kw_only=True)
class _Course:
    """One run under way: the store's lives one after the other, and what was wrong on the way."""

    scene: Scene
    program: Program
    strike: Strike | None
    watch: StoreWatch
    wrong: list[str] = field(default_factory=list)
    first: Ended | None = None
    port: int = 0
    lives: int = 0

    def start(self) -> Family:
        """Start the store, and see it listen; again without a fault where it died of the first."""
        store = self._life()
        serve([store], until=lambda: LISTENING in store.said, within_s=ENDS_WITHIN_S)
        if store.gone:
            self.end(store)
            store = self._life()
            serve([store], until=lambda: LISTENING in store.said, within_s=ENDS_WITHIN_S)
        if LISTENING not in store.said:
            raise TimeoutError(f"the store does not listen: {store.ended().stderr[-800:]}")
        self.port = int(store.said.split(LISTENING)[1].partition("/files")[0].rpartition(":")[2])
        return store

    def end(self, store: Family) -> None:
        """Judge a store that ended, whatever ended it."""
        ended = store.ended()
        if self.first is None:
            self.first = ended
            self.wrong += [f"then: {fault}" for fault in (*self.watch.faults, *self.watch.unnamed())]
        self.wrong += [f"then: {fault}" for fault in judge.shelf_faults(self.scene, judge.shelf(self.scene))]
        strike = self.strike if self.lives == 1 else None
        self.wrong += [f"then: {fault}" for fault in words_wrong(ended, strike, codes=CODES)]
        if self.lives > 1 and ended.code:
            self.wrong.append(f"later: the store ended with {ended.code}: {ended.stderr[-500:]}")

    def stop(self, store: Family) -> None:
        """Stop it as systemd does."""
        store.signal(signal.SIGTERM)
        self.end(store)

    def _life(self) -> Family:
        first, self.lives = self.lives == 0, self.lives + 1
        where = ("--dir", str(self.scene.store), "--listen", f"127.0.0.1:{self.port}", "--reserve", "1")
        return Family.start(
            self.program,
            ("central", *where),
            root=self.scene.root,
            choices=all_changes() if first else names_only(),
            watch=self.watch if first else StoreWatch(scene=self.scene),
            strike=self.strike if first else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRun:
    """Runs of one store program, each on a folder of its own."""

    root: Path
    program: Program = hasty
    _number: Iterator[int] = field(default_factory=count)

    def points(self) -> Sequence[Point]:
        """Give the points of a run that nothing strikes; see `Run`."""
        course = self._run(None)
        assert course.first is not None
        if course.first.code or course.wrong:
            raise AssertionError(f"struck by nothing: {course.wrong} {course.first.stderr}")
        return course.first.points

    def run_point(self, strike: Strike) -> Verdict:
        """Strike one run and judge it; see `Run`."""
        try:
            course = self._run(strike)
        except TimeoutError as error:
            return Verdict(strike=str(strike), struck=True, code=0, said="", wrong=(f"then: hangs: {error}",))
        assert course.first is not None
        return Verdict(
            strike=str(strike),
            struck=course.first.struck,
            code=course.first.code,
            said=course.first.stderr[-600:],
            wrong=tuple(course.wrong),
        )

    def _run(self, strike: Strike | None) -> _Course:
        root = self.root / f"camera-{next(self._number)}"
        scene = scene_of(root, Store(folder=root / "central", url="", key=""))
        course = _Course(scene=scene, program=self.program, strike=strike, watch=StoreWatch(scene=scene))
        try:
            self._go(course)
        finally:
            shutil.rmtree(root)
        return course

    def _go(self, course: _Course) -> None:
        store = course.start()
        course.scene = replace(course.scene, key=open_signer(course.scene.store).public_key)
        watch = StationWatch(scene=course.scene, sees_syncs=False)
        ingest = Family.start(
            hasty,
            ingest_arguments(course.scene, f"http://127.0.0.1:{course.port}/files/"),
            root=course.scene.root,
            choices=names_only(),
            watch=watch,
            strike=None,
        )
        while not ingest.gone:
            if not serve([ingest, store], until=partial(one_gone, ingest, store), within_s=ENDS_WITHIN_S):
                ingest.kill()
                store.kill()
                raise TimeoutError(f"the station is not done; {ingest.said[-500:]}")
            if store.gone and not ingest.gone:
                course.end(store)
                store = course.start()
        ended = ingest.ended()
        course.wrong += [f"then: {fault}" for fault in watch.faults]
        if ended.code:
            course.wrong.append(f"later: ingest: exit code {ended.code}: {ended.stdout[-500:]} {ended.stderr[-500:]}")
        if store.gone:
            course.end(store)
            store = course.start()
        course.stop(store)
        later = list(judge.in_the_end(course.scene))
        course.wrong += [f"later: {fault}; the station said {ended.stdout[-600:]}" for fault in later]
        course.wrong += [f"later: dockctl verify: {fault}" for fault in verified(course.scene)]


def one_gone(*families: Family) -> bool:
    """Say whether one of them has ended."""
    return any(family.gone for family in families)


@contextmanager
def store_run(root: Path, program: Program) -> Iterator[StoreRun]:
    """Give runs of a store."""
    yield StoreRun(root=root, program=program)
