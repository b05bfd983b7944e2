"""The copier reads again past the cache and says so honestly (I3), and unlinks exactly what a permit names (I6)."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.copier.medium import fetched_bytes, in_memory
from tests.copier_parts import Child, Dock, a_child, a_dock, packed

MIB = 1 << 20


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def child(dock: Dock) -> Iterator[Child]:
    with a_child(dock) as child:
        yield child


def is_memory(path: Path) -> bool:
    return in_memory(path.stat().st_dev)


@pytest.mark.promise("I3")
@pytest.mark.parametrize("length", [0, 1, 5000, 3 * MIB + 1])
def test_a_file_written_a_moment_ago_is_read_past_the_cache(dock: Dock, child: Child, length: int) -> None:
    data = os.urandom(length)
    file = dock.put("a", data)
    assert child.reread(file)["done"] == {
        "sha256": sha256(data).hexdigest(),
        "length": length,
        "mtime_ns": file.mtime_ns,
        "uncached": True,
    }


@pytest.mark.promise("I3")
def test_bytes_that_a_cache_may_have_given_are_never_called_uncached(dock: Dock, child: Child) -> None:
    if is_memory(dock.card):
        pytest.skip("this folder is in memory: nothing slower lies behind its cache")
    data = os.urandom(MIB)
    file = dock.put("a", data)
    with (dock.card / "a").open("rb") as open_file, mmap.mmap(open_file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        assert sha256(pages).digest()  # every page is mapped now: the kernel cannot forget them
        done = child.reread(file)["done"]
    assert done["sha256"] == sha256(data).hexdigest()
    assert done["uncached"] is False


def test_holes_need_not_come_from_the_medium(dock: Dock, child: Child) -> None:
    path = dock.card / "sparse"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(os.urandom(MIB))
    done = child.reread(dock.listed(b"sparse"))["done"]
    assert done["uncached"] is True
    assert done["sha256"] == sha256(path.read_bytes()).hexdigest()


def test_memory_is_its_own_medium() -> None:
    shm = Path("/dev/shm")  # noqa: S108 - for the one filesystem that is memory on every machine
    if not (shm.is_dir() and is_memory(shm)):
        pytest.skip("no /dev/shm in memory here")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        dock = a_dock(Path(folder))
        file = dock.put("a", bytes(MIB))
        with a_child(dock) as child:
            assert child.reread(file)["done"]["uncached"] is True


def test_where_nobody_counts_reads_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert fetched_bytes() == 0
    assert not in_memory(0)


def test_a_file_of_another_length_than_known_is_growing(dock: Dock, child: Child) -> None:
    file = dock.put("a", b"12345")
    dock.put("a", b"123456")
    assert child.reread(file)["error"] == "growing"


def test_a_file_that_is_no_more_is_missing(dock: Dock, child: Child) -> None:
    file = dock.put("a")
    (dock.card / "a").unlink()
    assert child.reread(file)["error"] == "missing"


@pytest.mark.promise("I6")
def test_exactly_the_named_file_is_unlinked(dock: Dock, child: Child) -> None:
    names = [b"DCIM/a", b"DCIM/a ", b"DCIM/a\n", b"DCIM/\xff", b"a"]
    files = [dock.put(name) for name in names]
    for file in files[1:4]:
        assert child.unlink(file) == {"done": {}}
    assert sorted(file.path for file in child.listing()[1]) == [b"DCIM/a", b"a"]


@pytest.mark.promise("I1")
def test_a_file_of_another_length_than_the_permits_stays(dock: Dock, child: Child) -> None:
    file = dock.put("a", b"12345")
    dock.put("a", b"123456")
    assert child.unlink(file) == {"error": "refused", "say": "'a' has 6 bytes, the permit 5"}
    assert (dock.card / "a").exists()


@pytest.mark.promise("I3")
def test_a_file_written_to_after_its_reread_stays(dock: Dock, child: Child) -> None:
    file = dock.put("a", b"12345")
    mtime_ns = child.reread(file)["done"]["mtime_ns"]
    dock.put("a", b"54321")
    os.utime(dock.card / "a", ns=(0, mtime_ns + 1_000_000))
    assert child.unlink(file, mtime_ns=mtime_ns)["error"] == "refused"
    assert child.unlink(dock.listed(b"a"), mtime_ns=mtime_ns + 1_000_000) == {"done": {}}


def test_a_folder_and_a_link_are_never_unlinked(dock: Dock, child: Child) -> None:
    file = dock.put("a")
    (dock.card / "a").unlink()
    (dock.card / "a").symlink_to("x" * file.length_bytes)
    assert child.unlink(file)["error"] == "refused"
    (dock.card / "a").unlink()
    (dock.card / "a").mkdir()
    assert child.unlink(file)["error"] == "refused"
    assert (dock.card / "a").is_dir()


@pytest.mark.promise("I1")
def test_a_file_that_is_not_there_to_be_unlinked_is_missing_and_not_done(dock: Dock, child: Child) -> None:
    file = dock.put("DCIM/a")
    assert child.unlink(file) == {"done": {}}
    assert child.unlink(file) == {"error": "missing", "say": "'DCIM/a': No such file or directory"}


def test_a_permit_for_another_folder_unlinks_nothing(dock: Dock, child: Child) -> None:
    file = dock.put("a")
    (dock.card.parent / "a").write_bytes(b"one clip")
    assert child.unlink(file, path=packed(b"../a"))["error"] == "missing"
    assert (dock.card.parent / "a").exists()
