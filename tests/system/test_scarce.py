"""An ingest with few descriptors or little memory: whatever it manages, nothing is lost, and with more it goes on."""

import random
import shutil
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess, ingest, ingest_command, ingesting, verified


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Make a card of three recordings."""
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.MP4").write_bytes(random.Random(number).randbytes(300_000))
    return folder


def under(limit: str, card: Path, store: StoreProcess, state: Path) -> tuple[int, str]:
    """Run an ingest that erases, under a limit; its code and what it said on standard error."""
    more = ("--erase", "--patience", "1", "--reserve", "0")
    command = ("prlimit", limit, *ingest_command(card, to=store.url, state=state, key=store.key, more=more))
    with ingesting(command, state.with_suffix(".stderr")) as run:
        code = run.process.wait(timeout=60)
        run.see_children_gone()
    return code, state.with_suffix(".stderr").read_text(errors="replace")


def nothing_lost(card: Path, store: StoreProcess, state: Path) -> None:
    """See the rest brought without a limit, and each clip erased after its receipt."""
    left = len(list(card.iterdir()))
    ended = ingest(card, to=store.url, state=state, key=store.key, more=("--erase", "--reserve", "0"))
    assert ended.code == 0, ended.words()
    assert ended.counts[1] >= left
    assert list(card.iterdir()) == []
    assert verified(state)[:2] == (3, 3)


@pytest.mark.promise("I4")
@pytest.mark.parametrize("most", [8, 12, 16, 24])
def test_few_descriptors_end_in_words_or_success_and_lose_nothing(
    tmp_path: Path, card: Path, store: StoreProcess, most: int
) -> None:
    assert shutil.which("prlimit")
    code, said = under(f"--nofile={most}:{most}", card, store, tmp_path / "state")
    assert code in {0, 1, 71, 75}, said
    assert "Traceback" not in said
    nothing_lost(card, store, tmp_path / "state")


@pytest.mark.promise("I4")
def test_little_memory_loses_nothing_and_with_more_it_goes_on(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    """Where memory ends is anybody's guess: it may end the program at any step, as the kernel's killer does."""
    codes = [under(f"--as={mib << 20}", card, store, tmp_path / "state")[0] for mib in (80, 110, 140, 180)]
    assert any(codes), "there was enough memory"
    nothing_lost(card, store, tmp_path / "state")


@pytest.mark.promise("I4")
def test_too_little_memory_to_begin_is_said_in_words(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    code, said = under(f"--as={48 << 20}", card, store, tmp_path / "state")
    assert (code, "gives no more memory" in said, "Traceback" in said) == (71, True, False), said
    nothing_lost(card, store, tmp_path / "state")
