"""Commands whose standard output takes no more: a reader that went away, a disk that is full."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ledger_parts import docked, file, threaded
from tests.system.cards import write
from tests.system.programs import DOCKD, StoreProcess, dockctl, ingest_command

DOCKCTL = (sys.executable, "-m", "dockd.ctl")
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
"""As a shell starts them: a short answer meets its end only when it is flushed."""
NOWHERE = "http://127.0.0.1:9/files/"

pytestmark = pytest.mark.timeout(120)


def into_a_closed_pipe(command: Sequence[str]) -> tuple[int, str]:
    """Run a command whose reader is gone before it says a word: exit code and standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=BUFFERED
        )
    finally:
        os.close(writer)
    return ended.returncode, ended.stderr


def into_a_full_disk(command: Sequence[str]) -> tuple[int, str]:
    """Run a command whose every word meets ENOSPC: exit code and standard error."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=BUFFERED
        )
    return ended.returncode, ended.stderr


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of two clips."""
    folder = tmp_path / "card"
    write(folder, b"DCIM/ONE.MP4", b"one")
    write(folder, b"DCIM/TWO.MP4", b"two")
    return folder


def test_an_ingest_that_nobody_listens_to_is_brought_to_its_end_in_silence(tmp_path: Path, card: Path) -> None:
    with StoreProcess(tmp_path / "central") as store:
        command = ingest_command(card, to=store.url, state=tmp_path / "state", key=store.key)
        assert into_a_closed_pipe(command) == (0, "")
    clips = dockctl("clips", tmp_path / "state")["clips"]
    assert [clip["state"] for clip in clips] == ["receipted", "receipted"]


@pytest.mark.promise("I1")
def test_an_ingest_that_nobody_listens_to_does_not_call_unproven_clips_done(tmp_path: Path, card: Path) -> None:
    command = ingest_command(card, to=NOWHERE, state=tmp_path / "state", more=("--patience", "0"))
    assert into_a_closed_pipe(command) == (75, "")


def test_an_ingest_whose_words_meet_a_full_disk_says_so_in_one_line(tmp_path: Path, card: Path) -> None:
    code, said = into_a_full_disk(ingest_command(card, to=NOWHERE, state=tmp_path / "state", more=("--patience", "0")))
    assert code == 74
    assert said == "dockd: standard output: No space left on device, expected room for what is to be said\n"


def test_a_short_answer_of_dockd_that_goes_nowhere_is_no_traceback(tmp_path: Path) -> None:
    command = (*DOCKD, "central", "--dir", str(tmp_path / "central"), "--show-key")
    assert into_a_closed_pipe(command) == (0, "")
    code, said = into_a_full_disk(command)
    assert code == 74
    assert said == "dockd: standard output: No space left on device, expected room for what is to be said\n"


@pytest.mark.parametrize("count", [1, 2000], ids=["a short list", "a long one"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["words", "json"])
async def test_dockctl_ends_quietly_at_a_closed_pipe_and_in_words_on_a_full_disk(
    tmp_path: Path, form: Sequence[str], count: int
) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number:04}.MP4") for number in range(count)))
    command = (*DOCKCTL, "clips", "--state", str(tmp_path), *form)
    assert await asyncio.to_thread(into_a_closed_pipe, command) == (0, "")
    ended = await asyncio.to_thread(into_a_full_disk, command)
    assert ended == (74, "dockctl: standard output: No space left on device\n")
