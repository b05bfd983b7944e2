"""Power cuts by number: `python -m tests.powercut.campaign FIRST COUNT [PLANT]` judges them and says what is wrong.

A number says everything: which workload is recorded (its seed is the number divided by `PER_RUN`), where the power
goes, and what survives. With a planted fault it stops at the first cut that finds it. Owns the numbering and the
counting; what is right, the judge says.
"""

import asyncio
import json
import random
import shutil
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from itertools import groupby, islice
from pathlib import Path

from tests.powercut.judge import GREEN, PROVEN, Judge
from tests.powercut.life import Claims, Order, live
from tests.powercut.oplog import Claimed, Lost, Record, Renamed, Synced, Unlinked, read
from tests.powercut.rebuild import Leaf, Medium, Wreck
from tests.powercut.workload import Recorded, free_port, record

PER_RUN = 1000
"""Cuts of one recorded workload."""
RESTARTED = 200
"""After one cut in so many, station and store are started again on what is left."""
NEAR = 3
"""Every other cut falls so near to something that was synced, renamed, unlinked or told."""
KEPT = Path(tempfile.gettempdir()) / "dockd-powercut"


class UnreadableError(Exception):
    """What a cut left is no filesystem any more."""


@dataclass(slots=True)
class Result:
    """What came of some cuts: how many, of how many workloads, and what was wrong with which.

    `restarts` counts new starts on what was left; `receipts`, `erased`, `green` and `failed_syncs` what happened in the
    workloads: where one of them is 0, nothing was tried.
    """

    cuts: int = 0
    runs: int = 0
    restarts: int = 0
    receipts: int = 0
    erased: int = 0
    green: int = 0
    failed_syncs: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def text(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Result":
        """Read what `text` wrote."""
        said = json.loads(text)
        return cls(**{**said, "faults": [(number, words) for number, words in said["faults"]]})

    def add(self, other: "Result") -> None:
        """Count another's cuts too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A filesystem to cut the power on: how a workload is recorded on it (folder, seed, plant), and what a cut leaves.

    `per_run` cuts share a workload; after one in `restarted` all is started again on what is left.
    """

    record: Callable[[Path, int, str], Recorded]
    cut: Callable[[Medium, random.Random, Path], Wreck]
    per_run: int
    restarted: int


STRICT = Ground(
    record=record,
    cut=lambda medium, chance, _folder: medium.cut(chance),
    per_run=PER_RUN,
    restarted=RESTARTED,
)


def cuts(first: int, count: int, plant: str = "", *, ground: Ground = STRICT) -> Result:
    """Judge the cuts with these numbers, in this process; with a planted fault up to the first that finds it."""
    result = Result()
    for seed, which in groupby(range(first, first + count), lambda number: number // ground.per_run):
        with scratch() as folder:
            _judge(ground, seed, list(which), folder, result, plant=plant)
        if plant and result.faults:
            break
    return result


def numbers(which: range) -> Iterator[tuple[int, str]]:
    """Give those numbers whose cuts went wrong, with what was wrong, for the soak."""
    yield from cuts(which.start, len(which)).faults


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory, for as long as the block runs."""
    memory = Path("/dev/shm")  # noqa: S108 - memory is meant; the folder in it is our own
    folder = Path(tempfile.mkdtemp(prefix="dockd-powercut-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _judge(ground: Ground, seed: int, which: Sequence[int], folder: Path, result: Result, *, plant: str) -> None:
    recorded = ground.record(folder, seed, plant)
    result.runs += 1
    faults = _faults(ground, recorded, which, folder, result)
    if plant:
        result.faults.extend(islice(faults, 1))
        return
    if recorded.trouble:
        # A harness whose workload does not come to its end proves nothing.
        result.faults.append((which[0], f"the workload did not come to its end: {recorded.trouble}"))
    found = list(faults)
    if found:
        KEPT.mkdir(exist_ok=True)
        kept = shutil.copy(recorded.log, KEPT)
        result.faults.extend((number, f"{words} (log: {kept})") for number, words in found)


def _faults(
    ground: Ground, recorded: Recorded, which: Sequence[int], folder: Path, result: Result
) -> Iterator[tuple[int, str]]:
    records = list(read(recorded.log))
    _count(records, result)
    medium, judge, at = Medium(), Judge(folder), 0
    for place, number in sorted(zip(_places(records, which), which, strict=True)):
        while at < place:
            medium.take(records[at])
            at += 1
        result.cuts += 1
        try:
            wreck = ground.cut(medium, random.Random(number), folder)
        except UnreadableError as error:
            yield number, f"cut at {place} of {len(records)}: {error}"
            continue
        words = list(judge.faults(wreck))
        if number % ground.restarted == 0 and not words:
            result.restarts += 1
            words = list(_restarted(wreck, judge, folder / "again"))
        if words:
            yield number, f"cut at {place} of {len(records)}: {'; '.join(words)}"


def _count(records: Sequence[Record], result: Result) -> None:
    for record_ in records:
        match record_:
            case Lost():
                result.failed_syncs += 1
            case Claimed(text=text):
                claim = json.loads(text)
                result.receipts += claim["what"] == "receipt"
                result.erased += claim.get("move") == "erased"
                result.green += claim.get("lamp") in GREEN
            case _:
                pass


def _places(records: Sequence[Record], which: Sequence[int]) -> list[int]:
    """Choose where the power goes, by number; before the first clip lies safely on a camera nothing can be lost."""
    first = next(at for at, record in enumerate(records) if isinstance(record, Claimed) and b'"laid"' in record.text)
    told = [
        at
        for at, record in enumerate(records)
        if at > first and isinstance(record, Claimed | Synced | Renamed | Unlinked)
    ]
    places = []
    for number in which:
        chance = random.Random(number)
        place = chance.randrange(first + 1, len(records) + 1)
        if number % 2 and told:
            nearest = told[min(bisect_left(told, place), len(told) - 1)]
            place = min(len(records), max(first + 1, nearest + chance.randrange(-NEAR + 1, NEAR + 1)))
        places.append(place)
    return places


def _restarted(wreck: Wreck, judge: Judge, root: Path) -> Iterator[str]:
    """Start station and store again on what is left: everything comes to its receipt and is erased (I17)."""
    try:
        after = started_again(wreck, root)
        yield from Judge(root.parent).faults(after)
        yield from _unfinished(wreck, judge, root)
    except (Exception, ExceptionGroup) as error:  # noqa: BLE001 - whatever it is, it is the finding
        yield f"I17: started again: {error!r}"
    finally:
        shutil.rmtree(root)


def started_again(wreck: Wreck, root: Path) -> Wreck:
    """Lay out what is left in a new folder, start station and store on it, and give what there is when they settle."""
    (root / "cameras").mkdir(parents=True)
    for path in wreck.folders:
        (root / path).mkdir(mode=0o700, exist_ok=True)
    for path, leaf in wreck.files.items():
        (root / path).touch(mode=0o600)
        (root / path).write_bytes(leaf.data)
    claims = Claims("")
    asyncio.run(live(Order(root=str(root), claims="", port=free_port(), pull_after=0, kill_at=0), claims))
    return _wreck_of(root, (*wreck.claims, *claims.kept))


def _unfinished(wreck: Wreck, judge: Judge, root: Path) -> Iterator[str]:
    proven = {(row.camera, row.path, row.sha256) for row in judge.rows(root / "station") if row.state in PROVEN}
    for text in wreck.claims:
        claim = json.loads(text)
        if claim["what"] == "laid" and (claim["camera"], claim["path"], claim["sha256"]) not in proven:
            yield f"I17: {claim['camera']} {claim['path']} has no receipt after a new start"
    left = [str(path.relative_to(root)) for path in (root / "cameras").rglob("*") if path.is_file()]
    if left:
        yield f"I17: still on the cameras after a new start: {left}"


def _wreck_of(root: Path, claims: Sequence[bytes]) -> Wreck:
    files = {str(path.relative_to(root)): Leaf(path.read_bytes(), None) for path in root.rglob("*") if path.is_file()}
    return Wreck(files=files, folders=(), claims=claims)


if __name__ == "__main__":
    sys.stdout.write(cuts(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]).text())
