"""A disk that fails under SQLite: by a limit of this process, for real, or by an error of the kind."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def files_limited_to(length_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a length: the system call fails, as on a broken disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Broken(sqlite3.OperationalError):
    """An error as SQLite gives it, of a kind."""

    def __init__(self, code: int, name: str = "disk I/O error") -> None:
        super().__init__(name)
        self.sqlite_errorcode = code
        self.sqlite_errorname = name
