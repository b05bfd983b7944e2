"""The files that a configuration names: there, readable, and not open to the wrong people.

Apart from reading a configuration, since that is pure and can be done on any machine.
"""

import os
import stat
from pathlib import Path

from dockd.config.rules import KEY_PREFIX
from dockd.config.tables import Config
from dockd.errors import Problem


def check_files(config: Config) -> tuple[Problem, ...]:
    """Look at every file that a configuration names; give what is wrong with each."""
    store = config.store
    keys = ((f"store.receipt_keys[{index}]", key) for index, key in enumerate(store.receipt_keys))
    trusted = [(name, Path(key)) for name, key in keys if not key.startswith(KEY_PREFIX)]
    trusted += _given(("store.ca_file", store.ca_file), ("store.cert_file", store.cert_file))
    secret = _given(("store.key_file", store.key_file), ("store.token_file", store.token_file))
    # Whoever may change what is trusted here can make a camera forget its footage, or listen in.
    found = [_problem(name, path, never=stat.S_IWOTH, verb="change") for name, path in trusted]
    found += [_problem(name, path, never=stat.S_IRWXO, verb="use") for name, path in secret]
    return tuple(problem for problem in found if problem is not None)


def _given(*named: tuple[str, Path | None]) -> list[tuple[str, Path]]:
    return [(name, path) for name, path in named if path is not None]


def _problem(name: str, path: Path, *, never: int, verb: str) -> Problem | None:
    expected = "a file with something in it, that dockd can read"
    try:
        # Without O_NONBLOCK a named pipe would keep us waiting for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Problem(path=name, value=f"{path}: {error.strerror}", expected=expected)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return Problem(path=name, value=f"{path}: no file, or an empty one", expected=expected)
    if mode & never:
        hint = f"chmod o= {path}"
        expected = f"a file that other users cannot {verb}"
        return Problem(path=name, value=f"{path}: mode {mode:04o}", expected=expected, hint=hint)
    return None
