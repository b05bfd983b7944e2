"""The tests' own guard: a test that leaves something behind must fail, and only such a test."""

import re
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

BAD = {
    "leaves_a_task": "asyncio.create_task(asyncio.sleep(9), name='stray')",
    "loses_an_exception": "asyncio.get_running_loop().call_exception_handler({'message': 'stray'})",
    "is_busy_on_the_loop": "end_s = time.thread_time() + 0.6; any(now > end_s for now in iter(time.thread_time, None))",
    "blocks_the_loop": "time.sleep(2.2)",
    "leaves_a_thread": "threading.Thread(target=time.sleep, args=(4,), daemon=True, name='stray').start()",
    "leaves_a_child": "CHILDREN.append(subprocess.Popen(['sleep', '4']))",
    "warns": "warnings.warn('stray')",
    "drops_an_open_socket": "socket.socket()",
}

GOOD = {
    "ends_its_task": "task = asyncio.create_task(asyncio.sleep(0)); await task",
    "cancels_its_task": "asyncio.create_task(asyncio.sleep(9)).cancel()",
    "works_in_a_thread": "await asyncio.to_thread(time.sleep, 0.01)",
    "waits_for_its_child": "child = await asyncio.create_subprocess_exec('true'); await child.wait()",
    "waits_long": "await asyncio.sleep(0.6)",
}

HEAD = "import asyncio, socket, subprocess, threading, time, warnings\n\nCHILDREN = []\n"


def test_a_test_that_leaves_something_behind_fails_and_no_other(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.read_text().replace('"tests.foreign_store", ', ""))
    bodies = (BAD | GOOD).items()
    made = pytester.makepyfile(HEAD + "".join(f"\nasync def test_{name}():\n    {body}\n" for name, body in bodies))
    config = CONFTEST.parents[1] / "pyproject.toml"
    result = pytester.runpytest_subprocess("-c", config, "--rootdir", pytester.path, made, timeout=60)
    verdicts = re.findall(r"^(?:FAILED|ERROR) \S+::test_(\w+)", "\n".join(result.outlines), re.MULTILINE)
    assert set(verdicts) == set(BAD)
