"""Folders outside the checkout for what is slow to make, each under a key of what it is made from.

Owns their place, their locks and their end: one process makes a folder, others wait. Must not know what is in them.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNUSED_S = 2 * 24 * 3600
"""A folder that nobody used for so long is removed when another of its kind is made."""


def home() -> Path:
    """Give the folder that holds them all, such as ~/.cache/dockd-vm."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dockd-vm"


def key_of(parts: Iterable[str | bytes]) -> str:
    """Name what is made from these parts: 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]


def content(folder: Path) -> Iterator[str | bytes]:
    """Give the parts of a folder's key: each file's name, whether it is a program, and its bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield str(path.relative_to(folder))
            yield "program" if os.access(path, os.X_OK) else "text"
            yield path.read_bytes()


@contextmanager
def kept(kind: str, key: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """Lend the folder of this key; `make` fills it first if it is not there, while others who want it wait.

    It is not removed while it is lent to anybody, here or in another process.
    """
    home().mkdir(parents=True, exist_ok=True)
    folder = home() / f"{kind}-{key}"
    with _locked(home() / f"{kind}.lock", fcntl.LOCK_EX):
        if not folder.exists():
            for left in home().glob(f"{kind}-*.half"):
                shutil.rmtree(left)
            half = home() / f"{kind}-{key}.half"
            half.mkdir()
            make(half)
            (half / "in-use").touch()
            half.rename(folder)
            _prune(kind, folder)
        os.utime(folder / "in-use")
        use = os.open(folder / "in-use", os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(use, fcntl.LOCK_SH)
    try:
        yield folder
    finally:
        os.close(use)


def _prune(kind: str, but: Path) -> None:
    """Remove what nobody has used for long, nor uses now; the caller holds the lock of the kind."""
    for mark in home().glob(f"{kind}-*/in-use"):
        if mark.parent == but or time.time() - mark.stat().st_mtime < UNUSED_S:
            continue
        with _locked(mark, fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
            if free:
                shutil.rmtree(mark.parent)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[bool]:
    """Hold a lock; False where it was asked for without waiting, and another has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
