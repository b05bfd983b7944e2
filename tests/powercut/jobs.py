"""Programs of this folder, two at a time, and whether this machine can run them at all."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.powercut.campaign import Result
from tests.powercut.workload import REPOSITORY, MissingError, require_fuse

AT_ONCE = 2
LIMIT_S = 1500


def require_machine(require: Callable[[], None] = require_fuse) -> None:
    """Skip where power cannot be cut, and say why; fail in CI, where it must be."""
    try:
        require()
    except MissingError as error:
        if os.environ.get("CI"):
            pytest.fail(f"power cuts cannot be tried here: {error}")
        pytest.skip(f"power cuts cannot be tried here: {error}")


def run_all(module: str, jobs: Sequence[Sequence[str]]) -> list[Result]:
    """Run a module once for each list of arguments; give the results in that order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda job: _run(module, job), jobs))


def _run(module: str, arguments: Sequence[str]) -> Result:
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, f"{module} {arguments}: {ended.stderr.decode(errors='replace')}"
    return Result.read(ended.stdout.decode("ascii"))
