"""The spool on a real disk."""

import asyncio
import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Spool
from dockd.domain.model import ClipId
from dockd.edges.spool import UNCOUNTED_FILES, DiskSpool
from dockd.errors import InvariantError, Reason, TransientError

ONE = ClipId("1" * 64)
TWO = ClipId("2" * 64)


@pytest.fixture
async def spool(tmp_path: Path) -> DiskSpool:
    return await DiskSpool.open(tmp_path / "state" / "spool")


def path_through(port: Spool, clip_id: ClipId) -> Path:
    """Ask the port: mypy sees that this is it."""
    return port.path(clip_id)


async def test_a_copy_lies_in_the_folder_under_its_clips_id(spool: DiskSpool, tmp_path: Path) -> None:
    assert path_through(spool, ONE) == tmp_path / "state" / "spool" / f"{ONE}.clip"


async def test_the_folder_is_for_the_daemon_alone(tmp_path: Path) -> None:
    await DiskSpool.open(tmp_path / "state" / "spool")
    assert (tmp_path / "state" / "spool").stat().st_mode & 0o777 == 0o700


@pytest.mark.promise("I4")
async def test_a_start_sweeps_parts_and_nothing_else(tmp_path: Path) -> None:
    for name in ("0123-1.part", "0123-2.part", f"{ONE}.clip", "note.txt"):
        (tmp_path / name).write_bytes(b"x")
    await DiskSpool.open(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{ONE}.clip", "note.txt"]


async def test_a_folder_that_cannot_be_made_is_a_disk_that_failed(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(TransientError, match="Not a directory") as caught:
        await DiskSpool.open(tmp_path / "state" / "spool")
    assert caught.value.reason is Reason.DISK


@pytest.mark.parametrize("name", ["", "1" * 63, "1" * 65, "../" + "1" * 61, "A" * 64, "1" * 64 + "\n", "g" * 64])
async def test_a_name_that_is_no_clip_id_names_nothing(spool: DiskSpool, name: str) -> None:
    with pytest.raises(InvariantError, match="expected 64 lower-case hex digits"):
        spool.path(ClipId(name))
    with pytest.raises(InvariantError):
        await spool.discard(ClipId(name))


async def test_the_room_is_what_the_disk_says(spool: DiskSpool, tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    room = await spool.room()
    assert abs(room.free_bytes - disk.f_bavail * disk.f_frsize) < 1 << 30
    assert room.free_files == UNCOUNTED_FILES or room.free_files > 0


async def test_a_disk_that_counts_no_inodes_says_so(spool: DiskSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = (4096, 4096, 1000, 500, 400, 0, 0, 0, 0, 255)  # as btrfs and FAT answer
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    room = await spool.room()
    assert (room.free_bytes, room.free_files) == (4096 * 400, -1)


@pytest.mark.promise("I5")
@pytest.mark.parametrize("length", [0, 1, 256 * 1024, 9 * 1024 * 1024 + 5])
async def test_a_digest_is_of_the_bytes_on_disk(spool: DiskSpool, length: int) -> None:
    data = os.urandom(length)
    spool.path(ONE).write_bytes(data)
    assert await spool.digest(ONE) == (sha256(data).hexdigest(), length)


async def test_a_copy_that_is_not_there_has_no_digest(spool: DiskSpool) -> None:
    assert await spool.digest(ONE) is None


async def test_what_is_no_plain_copy_is_a_disk_that_failed(spool: DiskSpool) -> None:
    spool.path(ONE).symlink_to("/etc/passwd")
    spool.path(TWO).mkdir()
    for clip_id in (ONE, TWO):
        with pytest.raises(TransientError) as caught:
            await spool.digest(clip_id)
        assert caught.value.reason is Reason.DISK


async def test_a_cancelled_digest_stops_reading(spool: DiskSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    with spool.path(ONE).open("wb") as file:
        file.truncate(1 << 40)  # hours of reading: the test would never end
    begun = asyncio.Event()
    loop, readv = asyncio.get_running_loop(), os.readv

    def begin(fd: int, buffers: list[memoryview]) -> int:
        loop.call_soon_threadsafe(begun.set)
        return readv(fd, buffers)

    monkeypatch.setattr(os, "readv", begin)
    digest = asyncio.create_task(spool.digest(ONE))
    await begun.wait()
    digest.cancel()
    with pytest.raises(asyncio.CancelledError):
        await digest


async def test_a_header_is_looked_for_in_the_copy(spool: DiskSpool) -> None:
    ftyp = bytes.fromhex("00000010 66747970 69736f6d 00000200")
    spool.path(ONE).write_bytes(ftyp + bytes.fromhex("00000010 6d646174") + bytes(8))
    spool.path(TWO).write_bytes(ftyp + bytes.fromhex("00000010 6d6f6f76 00000008 6d766864"))
    assert not await spool.has_header(ONE)
    assert await spool.has_header(TWO)


async def test_a_header_of_no_copy_cannot_be_looked_for(spool: DiskSpool) -> None:
    with pytest.raises(TransientError, match="No such file or directory"):
        await spool.has_header(ONE)


async def test_a_discarded_copy_is_gone_and_its_neighbour_stays(spool: DiskSpool) -> None:
    spool.path(ONE).write_bytes(b"x")
    spool.path(TWO).write_bytes(b"y")
    await spool.discard(ONE)
    await spool.discard(ONE)
    assert not spool.path(ONE).exists()
    assert spool.path(TWO).exists()


@pytest.mark.promise("I8")
async def test_a_discard_has_synced_the_folder_when_it_returns(
    spool: DiskSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.path(ONE).write_bytes(b"x")
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(spool.path(ONE).exists()))
    await spool.discard(ONE)
    assert synced == [False]


async def test_a_disk_that_refuses_to_forget_is_a_disk_that_failed(spool: DiskSpool) -> None:
    spool.path(ONE).mkdir()
    with pytest.raises(TransientError, match="removing") as caught:
        await spool.discard(ONE)
    assert caught.value.reason is Reason.DISK


@pytest.mark.promise("I9")
async def test_a_copy_that_the_disk_no_longer_gives_back_counts_as_lost(
    spool: DiskSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.path(ONE).write_bytes(b"x" * 5000)

    def bad_sector(fd: int, buffers: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readv", bad_sector)
    assert await spool.digest(ONE) is None


async def test_a_copy_that_cannot_be_read_for_another_reason_is_not_given_up(
    spool: DiskSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.path(ONE).write_bytes(b"x" * 5000)

    def no_memory(fd: int, buffers: object) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, "readv", no_memory)
    with pytest.raises(TransientError, match="Cannot allocate memory"):
        await spool.digest(ONE)


async def test_the_copies_there_are_told_by_name_and_length(spool: DiskSpool) -> None:
    folder = spool.path(ONE).parent
    spool.path(ONE).write_bytes(b"four")
    for name in ("note.txt", f"{TWO[:-1]}.clip", f"{TWO}.part"):
        (folder / name).write_bytes(b"x")
    spool.path(TWO).mkdir()
    assert await spool.copies() == {ONE: 4}


@pytest.mark.promise("I5", "I8")
async def test_a_copy_of_an_earlier_run_is_synced_with_its_folder_and_then_read(
    spool: DiskSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    spool.path(ONE).write_bytes(b"four")
    assert await spool.settle(ONE) == (sha256(b"four").hexdigest(), 4)
    assert synced == [str(spool.path(ONE)), str(spool.path(ONE).parent)]
    assert await spool.settle(TWO) is None


@pytest.mark.promise("I9")
async def test_a_copy_whose_sync_fails_is_taken_for_none(spool: DiskSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    spool.path(ONE).write_bytes(b"four")
    monkeypatch.setattr(os, "fsync", fails)
    assert await spool.settle(ONE) is None


async def test_a_spool_that_cannot_be_listed_is_a_disk_that_failed(spool: DiskSpool) -> None:
    folder = spool.path(ONE).parent
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.raises(TransientError, match="Not a directory") as caught:
        await spool.copies()
    assert caught.value.reason is Reason.DISK
