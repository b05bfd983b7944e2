"""What the copier does when the disk or the card fails it, by real calls that strace makes fail."""

from hashlib import sha256
from pathlib import Path

import pytest

from dockd.copier.commands import BUFFER_BYTES
from tests.copier_parts import Dock, Trace, a_child, a_dock, can_trace, copy_of

pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")

DATA = bytes(range(256)) * (4 * BUFFER_BYTES // 256)


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "strace.log")


@pytest.mark.promise("I8")
def test_a_copy_is_synced_renamed_its_folder_synced_and_read_back_in_this_order(dock: Dock, trace: Trace) -> None:
    file = dock.put("a", DATA)
    with a_child(dock, wrap=trace.wrap()) as child:
        clip = child.copy(file)["done"]["clip_id"] + ".clip"
    part, kept, spool = rf"{dock.spool}/0-1\.part", rf"{dock.spool}/{clip}", str(dock.spool)
    steps = [
        r"openat\(.*\"0-1\.part\", O_WRONLY\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600\)",
        rf"write\(\d+<{part}>, ",
        rf"fdatasync\(\d+<{part}>\) += 0",
        rf"renameat\(.*\"0-1\.part\", .*\"{clip}\"\) += 0",
        rf"fsync\(\d+<{spool}>\) += 0",
        rf"openat\(.*\"{clip}\", O_RDONLY",
        rf"fadvise64\(\d+<{kept}>, 0, 0, POSIX_FADV_DONTNEED\) += 0",
        rf"readv\(\d+<{kept}>, .*\) += {BUFFER_BYTES}",
        r'write\(1<.*, "{\\"done\\"',
    ]
    firsts = [trace.calls(".").index(trace.calls(step)[0]) for step in steps]
    assert firsts == sorted(firsts)
    assert trace.calls(".").index(trace.calls(steps[1])[-1]) < firsts[2], "nothing is written after the sync"
    assert len(trace.calls(steps[2])) == 1
    assert sum("= 0" not in line for line in trace.calls(rf"readv\(\d+<{kept}>")) == len(DATA) // BUFFER_BYTES


@pytest.mark.promise("I9")
def test_after_an_eio_on_the_sync_the_part_is_dropped_and_the_sync_never_tried_again(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("fdatasync:error=EIO")) as child:
        answer = child.copy(dock.put("a", DATA))
    assert answer == {"error": "disk", "say": "writing 0-1.part in the spool: Input/output error"}
    assert dock.kept() == []
    assert len(trace.calls("fdatasync")) == 1
    assert not trace.calls("renameat")


@pytest.mark.promise("I9")
def test_the_same_file_can_be_copied_again_after_a_failed_sync(dock: Dock, trace: Trace) -> None:
    file = dock.put("a", DATA)
    with a_child(dock, wrap=trace.wrap("fdatasync:error=EIO:when=1")) as child:
        assert child.copy(file)["error"] == "disk"
        assert child.copy(file)["done"]["sha256"] == sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("write:error=ENOSPC:when=2", "disk-full"),
        ("write:error=EDQUOT:when=2", "disk-full"),
        ("fdatasync:error=ENOSPC", "disk-full"),
        ("openat:error=ENOSPC", "disk-full"),
        ("write:error=EIO:when=2", "disk"),
        ("openat:error=EROFS", "disk"),
        ("renameat:error=EIO", "disk"),
    ],
)
def test_a_disk_that_fails_a_copy_keeps_nothing_of_it(dock: Dock, trace: Trace, fault: str, code: str) -> None:
    file = dock.put("a", DATA)
    wrap = trace.wrap(fault, paths=("0-1.part", dock.spool / "0-1.part"))
    with a_child(dock, wrap=wrap) as child:
        answer = child.copy(file)
    assert answer["error"] == code
    assert "0-1.part" in answer["say"]
    assert dock.kept() == []


@pytest.mark.promise("I8")
def test_a_folder_that_cannot_be_synced_keeps_no_copy(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("fsync:error=EIO:when=1")) as child:
        assert child.copy(dock.put("a"))["error"] == "disk"
    assert dock.kept() == []


@pytest.mark.promise("I5")
def test_a_write_that_the_disk_only_pretends_is_found_out_by_the_read_back(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap(f"write:retval={BUFFER_BYTES}:when=2")) as child:
        answer = child.copy(dock.put("a", DATA))
    assert answer["error"] == "hash"
    assert answer["say"].startswith("the spool gave 786432 bytes of sha256 ")
    assert dock.kept() == []


def test_a_disk_that_cannot_be_read_back_keeps_no_copy(dock: Dock, trace: Trace) -> None:
    file = dock.put("a", DATA)
    # Five reads give the card's file and its end; the sixth is of the spool.
    with a_child(dock, wrap=trace.wrap("readv:error=EIO:when=6")) as child:
        assert child.copy(file)["error"] == "disk"
    assert dock.kept() == []


def test_a_bad_sector_is_the_files_alone_while_the_card_is_there(dock: Dock, trace: Trace) -> None:
    bad, good = dock.put("bad", DATA), dock.put("good")
    with a_child(dock, wrap=trace.wrap("readv:error=EIO:when=3")) as child:
        assert child.copy(bad) == {"error": "unreadable", "say": "'bad': Input/output error"}
        assert dock.kept() == []
        assert "done" in child.copy(good)


@pytest.mark.promise("I4")
def test_a_read_that_fails_because_the_card_left_blames_no_file(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("readv:error=EIO:when=3", "fstatfs:error=EIO")) as child:
        assert child.copy(dock.put("a", DATA)) == {"error": "gone", "say": "the card left: Input/output error"}
    assert dock.kept() == []


def test_a_file_that_may_not_be_read_is_unreadable(dock: Dock, trace: Trace) -> None:
    file = dock.put("DCIM/secret")
    with a_child(dock, wrap=trace.wrap("openat:error=EACCES", paths=("secret",))) as child:
        assert child.copy(file) == {"error": "unreadable", "say": "'DCIM/secret': Permission denied"}


@pytest.mark.parametrize("fault", ["renameat:signal=KILL", "fdatasync:signal=KILL", "fsync:signal=KILL:when=1"])
@pytest.mark.promise("I8")
def test_a_copier_killed_at_any_step_leaves_a_part_or_a_whole_copy_under_a_clips_name(
    dock: Dock, trace: Trace, fault: str
) -> None:
    file = dock.put("a", DATA)
    with a_child(dock, wrap=trace.wrap(fault)) as child:
        assert child.ask(copy_of(file))[0] == {}
    for name in dock.kept():
        assert name == "0-1.part" or (dock.spool / name).read_bytes() == DATA
    with a_child(dock) as child:
        (dock.spool / "0-1.part").unlink(missing_ok=True)
        assert child.copy(file)["done"]["sha256"] == sha256(DATA).hexdigest()


@pytest.mark.promise("I3")
def test_a_reread_drops_the_cache_before_it_reads(dock: Dock, trace: Trace) -> None:
    file = dock.put("a", DATA)
    with a_child(dock, wrap=trace.wrap()) as child:
        child.reread(file)
    here = rf"<{dock.card}/a>"
    calls = trace.calls(here)
    dropped = trace.calls(rf"fadvise64\(\d+{here}, 0, 0, POSIX_FADV_DONTNEED\) += 0")
    assert calls.index(dropped[0]) < calls.index(trace.calls(rf"readv\(\d+{here}")[0])


def test_a_reread_that_fails_because_the_card_left_blames_no_file(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("readv:error=EIO:when=2", "fstatfs:error=EIO:when=2+")) as child:
        assert child.reread(dock.put("a", DATA))["error"] == "gone"


def test_a_bad_sector_met_by_a_reread_is_the_files_alone(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("readv:error=EIO:when=2")) as child:
        assert child.reread(dock.put("a", DATA)) == {"error": "unreadable", "say": "'a': Input/output error"}


@pytest.mark.promise("I3")
def test_cached_pages_of_a_card_that_left_prove_nothing(dock: Dock, trace: Trace) -> None:
    """After a pull, cached pages still read well: the reread fails although every read succeeded."""
    with a_child(dock, wrap=trace.wrap("fstatfs:error=EIO:when=2+")) as child:
        answer = child.reread(dock.put("a", DATA))
    assert answer == {"error": "gone", "say": "the card left while a file was read again"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("EROFS", "Read-only file system"),
        ("EPERM", "Operation not permitted"),
        ("EACCES", "Permission denied"),
        ("EIO", "Input/output error"),
    ],
)
@pytest.mark.promise("I11")
def test_a_card_that_says_no_keeps_its_file(dock: Dock, trace: Trace, error: str, words: str) -> None:
    file = dock.put("DCIM/a")
    with a_child(dock, wrap=trace.wrap(f"unlinkat:error={error}")) as child:
        assert child.unlink(file) == {"error": "refused", "say": f"'DCIM/a': {words}"}
    assert (dock.card / "DCIM/a").exists()


@pytest.mark.promise("I1")
def test_a_name_that_is_not_there_because_the_card_left_is_never_called_erased(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("unlinkat:error=ENOENT", "fstatfs:error=EIO")) as child:
        assert child.unlink(dock.put("a"))["error"] == "gone"


@pytest.mark.promise("I1")
def test_an_unlink_that_the_card_only_pretends_is_refused(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("unlinkat:retval=0")) as child:
        answer = child.unlink(dock.put("a"))
    assert answer == {"error": "refused", "say": "'a' is still there after its unlink"}


def test_an_unlink_that_cannot_be_synced_is_not_called_done(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("fsync:error=EIO")) as child:
        answer = child.unlink(dock.put("a"))
    assert answer == {"error": "usb", "say": "'a' is unlinked, but not surely gone: Input/output error"}


def test_a_card_that_leaves_in_the_erase_window_is_gone(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("fstatfs:error=EIO")) as child:
        assert child.unlink(dock.put("a"))["error"] == "gone"


def test_where_a_folder_cannot_be_synced_everything_is(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap("fsync:error=EINVAL", calls="sync,unlinkat")) as child:
        assert child.unlink(dock.put("a")) == {"done": {}}
    assert len(trace.calls(r"sync\(\)")) == 1


@pytest.mark.promise("I8")
def test_an_unlink_is_synced_and_then_looked_for(dock: Dock, trace: Trace) -> None:
    with a_child(dock, wrap=trace.wrap(calls="unlinkat,fsync,newfstatat,fstatfs")) as child:
        assert child.unlink(dock.put("DCIM/a")) == {"done": {}}
    folder = rf"\d+<{dock.card}/DCIM>"
    steps = [
        rf"newfstatat\({folder}, \"a\", .*AT_SYMLINK_NOFOLLOW\) = 0",
        rf"unlinkat\({folder}, \"a\", 0\) += 0",
        rf"fsync\({folder}\) += 0",
        rf"newfstatat\({folder}, \"a\", .*ENOENT",
        r"fstatfs\(.* = 0",
    ]
    firsts = [trace.calls(".").index(trace.calls(step)[0]) for step in steps]
    assert firsts == sorted(firsts)
    assert not list((dock.card / "DCIM").iterdir())
