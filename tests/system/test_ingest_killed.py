"""kill -9 of everything on a clip's way, at any moment: nothing lost, nothing doubled, nothing erased early."""

import os
import random
import signal
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.cards import contents, digests, odd_card, write
from tests.system.evidence import clip_rows, contents_digests, entries, moves, objects, stored
from tests.system.programs import Ingest, StoreProcess, command_line, ingest, ingest_command, ingesting, tree, verified
from tests.system.proxy import CountingProxy
from tests.system.waiting import until

FILES = int(os.environ.get("DOCKD_KILL_FILES", "2000"))
KILLS = 50
LEAST_S = 100
"""Sending the card takes so long at least, by --limit: on the fastest machine all kills strike in mid-run."""
MOST_RESENT_BYTES = 3 << 20
LONG_BYTES = 48 << 20

pytestmark = pytest.mark.timeout(400)


def states(state: Path) -> Counter[str]:
    """Count the clips in each state."""
    return Counter(row["state"] for row in clip_rows(state))


@pytest.mark.promise("I4")
@pytest.mark.promise("I10")
def test_after_fifty_kills_of_ingest_and_store_every_file_is_receipted_once(tmp_path: Path) -> None:
    chance = random.Random(50)
    card, state = tmp_path / "card", tmp_path / "state"
    files = odd_card(card, files=FILES, seed=50)
    openssl = digests(card, files, tmp_path / "links")
    seen: list[Counter[str]] = []
    with StoreProcess(tmp_path / "central") as store, ExitStack() as runs:
        command = ingest_command(card, to=store.url, state=state, key=store.key)
        slow = (*command, "--limit", f"{max(16, sum(files.values()) // LEAST_S >> 10)}K")
        run = runs.enter_context(ingesting(slow, tmp_path / "run-0.stderr"))
        for number in range(1, KILLS + 1):
            ends_itself(run, within_s=chance.uniform(0.1, 2.4), number=number)
            if chance.random() < 0.5 and number < KILLS:
                store.kill()
                seen.append(states(state))
                store.start()
            else:
                run.kill()
                seen.append(states(state))
                again = slow if number < KILLS else command
                run = runs.enter_context(ingesting(again, tmp_path / f"run-{number}.stderr"))
        ended = run.ended(within_s=240)
        assert ended.code == 0, ended.words()
        assert ended.counts == (FILES, FILES, 0, 0, 0)
        clips = stored(store.base)
        assert {path: clip.sha256 for path, clip in clips.items()} == openssl
        assert contents_digests(store.base, clips) == openssl
        assert len(objects(store.folder)) == FILES
        assert not list((store.folder / "uploads").iterdir())
    assert {path: len(data) for path, data in contents(card).items()} == files
    assert Counter(moves(state, "receipted").values()) == {1: FILES}
    assert verified(state) == (FILES, FILES, FILES)
    assert list((state / "spool").iterdir()) == []
    # The kills struck while there was something to lose.
    assert len([at for at in seen if 0 < at["receipted"] < FILES]) >= KILLS // 2, seen


def ends_itself(run: Ingest, *, within_s: float, number: int) -> None:
    """Let a run be for a while; it must not come to its end in it."""
    try:
        code = run.process.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"ended with {code} before kill {number}: {run.lines()[-3:]}")


# --- in mid-copy --------------------------------------------------------------------------------------------------


def copier_of(run: Ingest) -> int:
    """Find the copier child of an ingest."""
    return next(pid for pid in tree(run.pid) if "dockd/copier/" in command_line(pid))


def part_bytes(state: Path) -> int:
    """Say how much of the copy under way is in the spool."""
    return sum(part.stat().st_size for part in (state / "spool").glob("*.part"))


@pytest.mark.promise("I4")
@pytest.mark.promise("I5")
def test_a_copier_killed_in_mid_copy_costs_that_copy_and_nothing_else(tmp_path: Path) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"LONG.MP4", os.urandom(1 << 20) * (LONG_BYTES >> 20))
    with StoreProcess(tmp_path / "central") as store:
        command = ingest_command(card, to=store.url, state=state, key=store.key)
        with ingesting(command, tmp_path / "run.stderr") as run:
            until(lambda: part_bytes(state) > 0, "a copy begun")
            copier = copier_of(run)
            os.kill(copier, signal.SIGSTOP)
            assert part_bytes(state) < LONG_BYTES, "the copier was stopped too late"
            os.kill(copier, signal.SIGKILL)
            ended = run.ended()
        assert ended.code == 0, ended.words()
        assert contents_digests(store.base, stored(store.base)) == digests(card, [b"LONG.MP4"], tmp_path / "links")
    assert list((state / "spool").iterdir()) == []


@pytest.mark.promise("I4")
@pytest.mark.promise("I8")
def test_an_ingest_killed_in_mid_copy_leaves_no_half_copy_that_counts(tmp_path: Path) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"LONG.MP4", os.urandom(1 << 20) * (LONG_BYTES >> 20))
    with StoreProcess(tmp_path / "central") as store:
        command = ingest_command(card, to=store.url, state=state, key=store.key)
        with ingesting(command, tmp_path / "run.stderr") as run:
            until(lambda: part_bytes(state) > 0, "a copy begun")
            run.kill()
        assert states(state) == {"found": 1}
        again = ingest(card, to=store.url, state=state, key=store.key)
        assert again.code == 0, again.words()
        assert contents_digests(store.base, stored(store.base)) == digests(card, [b"LONG.MP4"], tmp_path / "links")
    assert list((state / "spool").iterdir()) == []


# --- in mid-PATCH -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["ingest", "store"])
def test_a_kill_in_mid_patch_costs_no_more_than_what_was_on_the_way(tmp_path: Path, victim: str) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"LONG.MP4", os.urandom(1 << 20) * (LONG_BYTES >> 20))
    with StoreProcess(tmp_path / "central") as store, CountingProxy(store.port) as proxy, ExitStack() as runs:
        command = ingest_command(card, to=proxy.url, state=state, key=store.key, more=("--limit", "24M"))
        run = runs.enter_context(ingesting(command, tmp_path / "run.stderr"))
        until(lambda: proxy.up_bytes > LONG_BYTES // 2, "half of the clip sent")
        if victim == "ingest":
            run.kill()
            run = runs.enter_context(ingesting(command, tmp_path / "again.stderr"))
        else:
            store.kill()
            store.start()
        ended = run.ended()
        assert ended.code == 0, ended.words()
        assert contents_digests(store.base, stored(store.base)) == digests(card, [b"LONG.MP4"], tmp_path / "links")
        resent_bytes = proxy.up_bytes - LONG_BYTES
    assert 0 < resent_bytes <= MOST_RESENT_BYTES, f"{resent_bytes / 2**20:.2f} MiB sent again"


# --- at each commit, with --erase ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """What a kill left: the ledger's state of the clip, whether the store has it, whether the card has it."""

    ledger: str
    stored: bool
    on_card: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One card of one clip with a state folder of its own, and an ingest that is to erase."""

    folder: Path
    store: StoreProcess
    key: str

    @property
    def card(self) -> Path:
        """The card."""
        return self.folder / "card"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def path(self) -> bytes:
        """The clip's path: the store has each desk's clip under another."""
        return f"DCIM/{self.folder.name}.MP4".encode("ascii")

    @property
    def command(self) -> tuple[str, ...]:
        """The ingest."""
        return ingest_command(self.card, to=self.store.url, state=self.state, key=self.key, more=("--erase",))

    @classmethod
    def make(cls, folder: Path, store: StoreProcess, key: str) -> "Desk":
        """Put the clip onto the card."""
        desk = cls(folder=folder, store=store, key=key)
        write(desk.card, desk.path, b"a clip of its own: " + desk.path)
        desk.state.mkdir()
        return desk

    def traced(self, *options: str) -> tuple[str, ...]:
        """The ingest under strace, which looks at the ledger's log only; the log is written by one thread."""
        return ("strace", "-f", "-qq", "-P", str(self.state / "ledger.db-wal"), *options, *self.command)

    def cut(self) -> Cut:
        """See what there is, and that nothing was lost or erased early (I1, I4)."""
        rows = clip_rows(self.state)
        at_store = stored(self.store.base).keys()
        cut = Cut(
            ledger=rows[0]["state"] if rows else "nothing",
            stored=self.path in at_store,
            on_card=contents(self.card).keys() == {self.path},
        )
        if not cut.on_card:
            assert cut.stored
            assert cut.ledger in {"erasing", "erased"}
            assert rows[0]["receipt"]
        return cut

    def finish(self) -> None:
        """Run the ingest again: whatever was cut, it comes to the same end."""
        with ingesting(self.command, self.folder / "again.stderr") as run:
            again = run.ended()
        assert again.code == 0, again.words()
        assert contents(self.card) == {}
        assert [row["state"] for row in clip_rows(self.state)] == ["erased"]
        causes = [entry["cause"] for entry in entries(self.state)]
        assert (causes.count("receipted"), causes.count("erased")) == (1, 1)
        assert list((self.state / "spool").iterdir()) == []


def commits(desk: Desk) -> list[int]:
    """Run a whole ingest and give, for each commit, which of all writes to the ledger's log is its first."""
    trace = desk.folder / "trace"
    command = desk.traced("-o", str(trace), "-e", "trace=pwrite64,fdatasync")
    with ingesting(command, desk.folder / "whole.stderr") as run:
        assert run.process.wait(timeout=60) == 0
    firsts, writes, begun = [], 0, False
    for line in trace.read_text().splitlines():
        if "pwrite64(" in line:
            writes += 1
            if not begun:
                firsts.append(writes)
            begun = True
        elif "fdatasync(" in line:
            begun = False
    return firsts


def killed(desk: Desk, call: str, number: int) -> bool:
    """Kill an ingest as it enters a system call on the ledger's log for that time; False where it ended before."""
    inject = f"inject={call}:signal=KILL:when={number}"
    with ingesting(desk.traced("-o", "/dev/null", "-e", f"trace={call}", "-e", inject), desk.state / "cut") as run:
        code = run.process.wait(timeout=60)  # strace ends when all that it follows have ended
    assert code in {0, -signal.SIGKILL}, (desk.state / "cut").read_text()
    return code != 0


@pytest.mark.promise("I1")
@pytest.mark.promise("I4")
@pytest.mark.promise("I8")
def test_an_ingest_killed_at_any_commit_of_its_ledger_erases_nothing_early_and_ends_well(tmp_path: Path) -> None:
    wanted = {
        Cut("copied", stored=True, on_card=True),  # between receipt and commit
        Cut("receipted", stored=True, on_card=True),
        Cut("erasing", stored=True, on_card=True),  # between commit and erase
        Cut("erased", stored=True, on_card=False),
    }
    cuts: set[Cut] = set()
    with StoreProcess(tmp_path / "central") as store:
        key = store.key
        firsts = commits(Desk.make(tmp_path / "whole", store, key))
        # Before a commit's first write nothing of it is there; at its sync all of it is, and nothing that follows.
        # The first three make the ledger itself, before there is anything to lose.
        points = [("pwrite64", first) for first in firsts[3:]] + [("fdatasync", n + 4) for n in range(len(firsts[3:]))]
        # What is gathered into one commit differs between runs on a busy machine: another round meets what one missed.
        for turn in range(3):
            struck = 0
            for call, number in points:
                desk = Desk.make(tmp_path / f"{turn}-{call}-{number}", store, key)
                struck += killed(desk, call, number)
                cut = desk.cut()
                desk.finish()
                if cut not in cuts:
                    assert verified(desk.state) == (1, 1, 1)
                cuts.add(cut)
            assert struck >= len(points) - 2  # the last ones may be gathered into one commit
            if wanted <= cuts:
                break
        assert len(firsts) >= 10
    assert wanted <= cuts


# --- at the unlink ------------------------------------------------------------------------------------------------


def at_card(desk: Desk, *options: str) -> tuple[str, ...]:
    """Give the ingest under strace, which looks at the card's folder only."""
    folder = str(desk.card / "DCIM")
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-P", folder, *options, *desk.command)


@pytest.mark.promise("I7")
@pytest.mark.promise("I17")
@pytest.mark.parametrize(
    ("call", "number"),
    [("unlinkat", 2), ("fsync", 1)],
    ids=["before each copier's second unlink", "between each unlink and its sync"],
)
def test_copiers_killed_while_they_erase_are_followed_by_a_listing_and_all_is_erased_in_the_end(
    tmp_path: Path, call: str, number: int
) -> None:
    with StoreProcess(tmp_path / "central") as store:
        desk = Desk.make(tmp_path / "desk", store, store.key)
        for name in (b"DCIM/SECOND.MP4", b"DCIM/THIRD.MP4"):
            write(desk.card, name, name)
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
        with ingesting(at_card(desk, *inject), tmp_path / "run.stderr") as run:
            ended = run.ended()
        assert ended.code == 0, ended.words()
        assert ended.counts == (3, 3, 0, 0, 3), ended.words()
        assert len(stored(store.base)) == 3
    assert contents(desk.card) == {}
    assert [entry["cause"] for entry in entries(desk.state)].count("listed") > 1  # so copiers did die


@pytest.mark.promise("I11")
def test_an_ingest_killed_after_an_unlink_and_before_its_record_finds_the_file_erased(tmp_path: Path) -> None:
    with StoreProcess(tmp_path / "central") as store:
        desk = Desk.make(tmp_path / "desk", store, store.key)
        hold = ("-e", "trace=unlinkat", "-e", "inject=unlinkat:delay_exit=60000000")
        with ingesting(at_card(desk, *hold), tmp_path / "run.stderr") as run:
            # Not to be read meanwhile: it must not be in the page cache when it is read again.
            until(lambda: not list((desk.card / "DCIM").iterdir()), "the unlink")
            for pid in reversed(run.tree()):
                os.kill(pid, signal.SIGKILL)
            run.process.wait()
            run.see_children_gone()
        assert desk.cut() == Cut("erasing", stored=True, on_card=False)
        desk.finish()
