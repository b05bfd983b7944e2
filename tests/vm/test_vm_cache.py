"""What is slow to make is made once, by one of those who want it at the same time, and never taken half made."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.vm import cache

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def make(into: Path) -> None:
    (into / "maker").write_text(str(os.getpid()))


ANOTHER = """
import os
from tests.vm import cache

def make(into):
    (into / "maker").write_text(str(os.getpid()))

with cache.kept("thing", "1", make) as folder:
    assert (folder / "maker").exists()
"""


def test_a_folder_is_made_by_one_process_though_several_want_it_at_once() -> None:
    others = [subprocess.Popen([sys.executable, "-c", ANOTHER], cwd=ROOT) for _ in range(3)]
    assert [other.wait(60) for other in others] == [0, 0, 0]
    with cache.kept("thing", "1", make) as folder:
        assert int((folder / "maker").read_text()) in {other.pid for other in others}


def test_a_folder_whose_making_failed_is_made_again() -> None:
    def fail(into: Path) -> None:
        (into / "half").touch()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), cache.kept("thing", "1", fail):
        pass
    with cache.kept("thing", "1", make) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["in-use", "maker"]


def test_what_nobody_used_for_long_goes_unless_it_is_in_use() -> None:
    long_ago = time.time() - cache.UNUSED_S - 60
    with cache.kept("thing", "1", make) as used, cache.kept("thing", "2", make) as unused:
        pass
    with cache.kept("thing", "1", make) as used:
        for folder in (used, unused):
            os.utime(folder / "in-use", (long_ago, long_ago))
        with cache.kept("thing", "3", make):
            assert (used.exists(), unused.exists()) == (True, False)


def test_a_key_tells_parts_apart_however_they_are_cut(tmp_path: Path) -> None:
    assert cache.key_of(["ab", "c"]) != cache.key_of(["a", "bc"])
    program = tmp_path / "program"
    program.write_text("text")
    before = cache.key_of(cache.content(tmp_path))
    program.chmod(0o755)
    assert cache.key_of(cache.content(tmp_path)) != before
