"""A disk that fails to give a page of the ledger at the start: once is no damage, again and again is."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from dockd.edges.ledger import survey as module
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.survey import LOOKS, Survey, survey
from tests.copier_parts import Trace, can_trace
from tests.lost_ledgers import made

LOOK = """
import pathlib, sys
from dockd.edges.ledger.survey import survey
found = survey(pathlib.Path(sys.argv[1]))
print(found.seq, found.fault)
"""


@pytest.mark.promise("I9")
@pytest.mark.skipif(not can_trace(), reason="strace is not here or may not trace")
@pytest.mark.parametrize("read", [2, 3, 12, 20, 40])
async def test_one_read_of_a_sound_ledger_that_fails_is_no_damage(tmp_path: Path, read: int) -> None:
    end = await made(tmp_path)
    database = tmp_path / DATABASE
    trace = Trace(tmp_path / "trace")
    wrap = trace.wrap(f"pread64:error=EIO:when={read}", calls="pread64", paths=[database])
    command = [*wrap, os.path.realpath(sys.executable), "-c", LOOK, str(database)]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = partial(subprocess.run, check=True, capture_output=True, text=True, timeout=60, env=here)
    done = await asyncio.to_thread(run, command)
    assert done.stdout == f"{end.seq} \n"
    assert len(trace.calls("EIO")) == 1


@pytest.mark.promise("I9")
@pytest.mark.parametrize(("failures", "damaged"), [(1, False), (LOOKS - 1, False), (LOOKS, True)])
async def test_a_fault_must_be_found_again_and_again_before_a_ledger_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, *, damaged: bool
) -> None:
    await made(tmp_path)
    looks: list[Survey] = []
    look = module._once

    def failing(database: Path, *, mark: frozenset[int]) -> Survey:
        found = look(database, mark=mark)
        if len(looks) < failures:
            found.fault = "database disk image is malformed"
        looks.append(found)
        return found

    monkeypatch.setattr(module, "_once", failing)
    assert bool(survey(tmp_path / DATABASE).fault) is damaged
    assert len(looks) == min(failures + 1, LOOKS)
