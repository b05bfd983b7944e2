"""The guard of a state folder: what it finds ends the service, what it cannot write is tried again."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dockd.domain.model import Timestamp
from dockd.edges.guard import guarding
from dockd.edges.seal import KEY_FILE, Seal, open_seal, public_key_of, verifies
from dockd.edges.spool import DiskSpool
from dockd.edges.standing import Standing
from dockd.errors import InvariantError, Reason, StartRefusedError, TransientError


@dataclass(slots=True)
class Hours:
    """A clock on which each sleep is over at once; it ends the guard after so many."""

    sleeps: int
    slept_s: float = 0.0

    def monotonic_s(self) -> float:
        return self.slept_s

    def now(self) -> Timestamp:
        return Timestamp(utc="2024-05-01T00:00:00.000000Z", source="simulated", uncertainty_ms=0)

    async def sleep(self, seconds: float) -> None:
        if not self.sleeps:
            raise asyncio.CancelledError
        self.sleeps -= 1
        self.slept_s += seconds
        await asyncio.sleep(0)


@dataclass(slots=True)
class Book:
    """A ledger that takes down what it is asked; `fails` raises what it is to raise, by the number of the call."""

    fails: dict[int, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def stand(self) -> None:
        self._ask("stand")

    async def state_end(self) -> None:
        self._ask("state")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        error = self.fails.get(len(self.asked))
        if error is not None:
            raise error


async def guarded(book: Book, *, sleeps: int, spool: Book | None = None) -> None:
    """Guard for so many looks."""
    with pytest.raises(asyncio.CancelledError):
        await guarding(ledger=book, spool=spool or Book(), clock=Hours(sleeps))


async def test_the_files_are_looked_at_every_five_seconds_and_the_end_is_stated_each_minute() -> None:
    book, spool = Book(), Book()
    await guarded(book, sleeps=36, spool=spool)  # three minutes
    assert spool.asked == ["stand"] * 36
    assert book.asked == (["stand"] * 12 + ["state"]) * 3


async def test_a_disk_that_cannot_say_what_lies_there_is_told_and_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").touch()
    standing = Standing(tmp_path / "kept")
    standing.opened()

    def sick(path: Path) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", sick)
        with pytest.raises(TransientError, match="Input/output error") as caught:
            standing()
    standing()
    assert caught.value.reason is Reason.DISK
    spool = Book(fails={1: caught.value})
    with caplog.at_level(logging.WARNING):
        await guarded(Book(), sleeps=2, spool=spool)
    assert spool.asked == ["stand", "stand"]
    assert len(caplog.records) == 1


async def test_a_disk_that_takes_no_checkpoint_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    book = Book(
        fails={13: TransientError(Reason.DISK_FULL, "checkpoint: no room"), 14: TransientError(Reason.DISK, "busy")}
    )
    with caplog.at_level(logging.WARNING):
        await guarded(book, sleeps=24)
    assert [record.getMessage() for record in caplog.records] == ["checkpoint: no room", "busy"]
    assert book.asked == (["stand"] * 12 + ["state"]) * 2


@pytest.mark.parametrize("who", ["ledger", "spool"])
async def test_what_was_taken_away_ends_the_guard(who: str) -> None:
    gone = Book(fails={2: InvariantError(f"{who} was removed")})
    parts = {"ledger": Book(), "spool": Book(), who: gone}
    with pytest.raises(InvariantError, match=f"{who} was removed"):
        await guarding(ledger=parts["ledger"], spool=parts["spool"], clock=Hours(5))


# --- what lies where it lay -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: path.unlink(), "was removed"),
        (lambda path: path.rename(path.with_name("x")), "was removed"),
        (lambda path: (path.rename(path.with_name("x")), path.write_bytes(b"other")), "was replaced"),
    ],
)
def test_a_file_that_is_no_longer_the_one_that_was_opened_is_told(
    tmp_path: Path, change: Callable[[Path], object], how: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    standing = Standing(path, tmp_path / "never there")
    standing()  # nothing was opened yet
    standing.opened()
    path.write_bytes(b"the same file, other bytes")
    standing()
    change(path)
    with pytest.raises(InvariantError, match=f"file {how} while it was open"):
        standing()


@pytest.mark.promise("I8")
async def test_no_copy_begins_in_a_spool_that_was_taken_away(tmp_path: Path) -> None:
    spool = await DiskSpool.open(tmp_path / "spool")
    await spool.room()
    # As a docked card has it open: what is open gives its number to no other.
    held = os.open(tmp_path / "spool", os.O_RDONLY)
    (tmp_path / "spool").rmdir()
    with pytest.raises(InvariantError, match="spool was removed while it was open"):
        await spool.room()
    (tmp_path / "other").mkdir()
    (tmp_path / "other").rename(tmp_path / "spool")
    with pytest.raises(InvariantError, match="spool was replaced"):
        await spool.stand()
    os.close(held)


# --- the station's key ----------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_its_owners_alone(tmp_path: Path) -> None:
    first, second = open_seal(tmp_path), open_seal(tmp_path)
    assert first.public_key == second.public_key == public_key_of(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert verifies(first.public_key, b"words", second.sign(b"words"))
    assert not verifies(first.public_key, b"other words", second.sign(b"words"))
    assert not verifies("ed25519:no key", b"words", second.sign(b"words"))
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_of_its_bytes_signs_the_same_every_time() -> None:
    seal = Seal.of(bytes(range(32)))
    assert seal.sign(b"words") == Seal.of(bytes(range(32))).sign(b"words")
    assert seal.public_key == "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"


def test_unreadable_keys_are_kept_up_to_a_number(tmp_path: Path) -> None:
    assert public_key_of(tmp_path) == ""
    for number in range(1, 21):
        (tmp_path / KEY_FILE).write_bytes(b"no key %d" % number)
        assert public_key_of(tmp_path) == ""
        open_seal(tmp_path)
        assert (tmp_path / f"station-key.unreadable-{number}").read_bytes() == b"no key %d" % number
    (tmp_path / KEY_FILE).write_bytes(b"one more")
    with pytest.raises(StartRefusedError, match="holds no key, and 20 such files are kept beside it"):
        open_seal(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == b"one more"


def test_a_key_that_cannot_be_written_is_a_matter_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        open_seal(tmp_path / "nowhere")
    assert caught.value.reason is Reason.DISK
