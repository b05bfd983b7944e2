"""A ledger that is spoilt or taken away under a running station, and the checkpoint that follows its chain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.domain.checkpoint import Head
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, kept
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import InvariantError, TransientError
from tests.ledger_parts import bring, clips, docked, file, threaded
from tests.lost_ledgers import ended, recovered, stated


@pytest.mark.promise("I8")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda folder: (folder / DATABASE).unlink(), r"ledger\.db was removed", id="removed"),
        pytest.param(lambda folder: (folder / f"{DATABASE}-wal").unlink(), r"ledger\.db-wal was removed", id="log"),
        pytest.param(
            lambda folder: (folder / DATABASE).write_bytes((folder / DATABASE).rename(folder / "x").read_bytes()),
            r"ledger\.db was replaced",
            id="replaced",
        ),
        pytest.param(lambda folder: folder.rename(folder.with_name("elsewhere")), "was removed", id="folder moved"),
    ],
)
async def test_nothing_is_claimed_on_a_database_that_was_taken_away(
    tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A.MP4"))
        (clip,) = await clips(ledger, 1)
        spoil(state)
        for _ in range(2):
            with pytest.raises(InvariantError, match=f"{says} while it was open"):
                await bring(ledger, clip, ClipState.COPIED)
        with pytest.raises(InvariantError, match=says):
            await ledger.stand()


async def test_a_page_that_rots_under_a_running_station_ends_it_and_the_next_start_recovers(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number}.MP4") for number in range(400)))
        await ledger.stand()
    async with await threaded(tmp_path) as ledger:
        size = (tmp_path / DATABASE).stat().st_size
        with (tmp_path / DATABASE).open("r+b") as database:
            for page in range(1, size // 4096):
                database.seek(page * 4096)
                database.write(b"\xa5" * 4096)

        async def every_clip() -> None:
            for key in range(1, 400):
                await ledger.clip(ClipKey(key))

        with pytest.raises(InvariantError, match="the database is damaged; the next start sets it aside"):
            await every_clip()
    facts = await recovered(tmp_path)
    assert facts["old_seq"] == str(404)


async def test_a_checkpoint_follows_the_chain_and_never_runs_ahead_of_it(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        assert stated(tmp_path) == Head(instance=stated(tmp_path).instance, seq=1, hash=ended(tmp_path).hash)
        before = (tmp_path / CHECKPOINT).stat().st_ino
        await ledger.state_end()
        assert (tmp_path / CHECKPOINT).stat().st_ino == before  # nothing moved, nothing is written
        await docked(ledger, file("A.MP4"))
        assert stated(tmp_path).seq == 1
        await ledger.state_end()
        assert stated(tmp_path) == ended(tmp_path)
        await docked(ledger, file("B.MP4"))
    assert stated(tmp_path) == ended(tmp_path)


async def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        before = kept(tmp_path).text
        (tmp_path / f"{CHECKPOINT}.new").mkdir()
        await docked(ledger, file("A.MP4"))
        with pytest.raises(TransientError, match="checkpoint: Is a directory, expected it to be written"):
            await ledger.state_end()
        assert kept(tmp_path).text == before
    assert kept(tmp_path).text == before
    (tmp_path / f"{CHECKPOINT}.new").rmdir()
    async with await threaded(tmp_path):
        pass
    assert stated(tmp_path) == ended(tmp_path)
