"""How `dockd ingest` ends: cards it cannot carry, no key, a store that is away, a signal; and how it is run again."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.cards import contents
from tests.system.evidence import moves, stored
from tests.system.programs import Ingest, StoreProcess, dockctl, ingest, ingest_command, ingesting, verified
from tests.system.waiting import until

KEY = "ed25519:1mneeScUh3SwbDC0fNoV_1bhE8pktoU1ZeTPBzfWnSY"
SLOW = ("--limit", "16K")
pytestmark = pytest.mark.timeout(180)


# --- what a card may hold -----------------------------------------------------------------------------------------


def test_an_empty_card_is_done_at_once(tmp_path: Path, store: StoreProcess) -> None:
    (tmp_path / "card").mkdir()
    ended = ingest(tmp_path / "card", to=store.url, state=tmp_path / "state", key=store.key)
    assert (ended.code, ended.counts) == (0, (0, 0, 0, 0, 0)), ended.words()


@pytest.mark.promise("I7")
def test_a_card_that_cannot_be_listed_completely_is_not_touched_and_says_why(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    (card / "DCIM" / "link").symlink_to("LONG.MP4")
    before = contents(card)
    ended = ingest(card, to=store.url, state=tmp_path / "state", key=store.key, more=("--erase",))
    assert (ended.code, ended.counts) == (1, (0, 0, 0, 0, 0)), ended.words()
    assert [line["detail"] for line in ended.lines if line["event"] == "trouble"] == [
        "'DCIM/link' is not a plain file: it cannot be carried"
    ]
    assert contents(card) == before
    assert stored(store.base) == {}


@pytest.mark.promise("I6")
def test_a_card_that_refuses_to_erase_is_receipted_and_each_clip_says_why_it_stayed(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    before, state = contents(card), tmp_path / "state"
    inject = ("-e", "trace=unlinkat", "-e", "inject=unlinkat:error=EROFS")
    strace = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(card / "DCIM"), *inject)
    command = ingest_command(card, to=store.url, state=state, key=store.key, more=("--erase",))
    with ingesting((*strace, *command), tmp_path / "run.stderr") as run:
        ended = run.ended()
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 0)), ended.words()
    assert contents(card) == before
    assert sorted(ended.troubles) == ["DCIM/LONG.MP4", "DCIM/SHORT.MP4"]
    for line in ended.troubles.values():
        assert (line["state"], line["reason"]) == ("receipted", "refused")
        assert "Read-only file system" in line["detail"]


# --- without a key ------------------------------------------------------------------------------------------------


@pytest.mark.promise("I1")
def test_without_the_stores_key_clips_are_accepted_and_a_later_run_with_it_proves_them(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    before, state = contents(card), tmp_path / "state"
    ended = ingest(card, to=store.url, state=state)
    assert (ended.code, ended.counts) == (1, (2, 0, 0, 2, 0)), ended.words()
    clips = dockctl("clips", state)["clips"]
    assert {(clip["state"], clip["assurance"]) for clip in clips} == {("uploaded", "accepted")}
    assert {(line["state"], line["assurance"]) for line in ended.troubles.values()} == {("uploaded", "accepted")}
    assert contents(card) == before
    proven = ingest(card, to=store.url, state=state, key=store.key, more=("--erase",))
    assert (proven.code, proven.counts) == (0, (2, 2, 0, 0, 2)), proven.words()
    assert contents(card) == {}


def test_a_key_from_a_file_is_as_good(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    (tmp_path / "keys").write_text(f"# the store at headquarters\n{store.key}\n{KEY}\n")
    ended = ingest(card, to=store.url, state=tmp_path / "state", key=str(tmp_path / "keys"))
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 0)), ended.words()


@pytest.mark.promise("I1")
def test_a_receipt_of_before_is_not_believed_under_another_key(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    before, state = contents(card), tmp_path / "state"
    assert ingest(card, to=store.url, state=state, key=store.key).code == 0
    ended = ingest(card, to=store.url, state=state, key=KEY, more=("--erase",))
    assert (ended.code, ended.counts) == (1, (2, 0, 0, 2, 0)), ended.words()
    assert contents(card) == before


# --- a store that is away, and an end in the middle ---------------------------------------------------------------


def test_a_store_that_is_away_is_waited_for_as_long_as_asked_and_running_again_completes(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    key, state = store.key, tmp_path / "state"
    store.stop()
    ended = ingest(card, to=store.url, state=state, key=key, more=("--patience", "3"))
    assert ended.code == 75, ended.words()
    assert ended.counts == (2, 0, 0, 2, 0)
    assert 3 <= ended.summary["elapsed_s"] < 8
    assert [line for line in ended.lines if line["event"] == "trouble"]
    store.start()
    again = ingest(card, to=store.url, state=state, key=key)
    assert (again.code, again.counts) == (0, (2, 2, 0, 0, 0)), again.words()
    assert moves(state, "copied") == {1: 1, 2: 1}  # what was copied is not copied again


def test_a_store_that_comes_within_the_patience_is_enough(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    key = store.key
    store.stop()
    command = ingest_command(card, to=store.url, state=tmp_path / "state", key=key)
    with ingesting(command, tmp_path / "run.stderr") as run:
        until(lambda: any(line.get("store") == "network" for line in run.lines()), "the store missed")
        store.start()
        ended = run.ended()
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 0)), ended.words()


def half_sent(run: Ingest, store: StoreProcess) -> None:
    """Wait until the long clip is on its way."""

    def bytes_there() -> bool:
        # The short one may be finished, and gone from there, between two looks.
        with suppress(FileNotFoundError):
            return any(part.stat().st_size > 0 for part in (store.folder / "uploads").iterdir())
        return False

    until(bytes_there, "bytes at the store")
    assert run.running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_running_again_completes(
    tmp_path: Path, card: Path, store: StoreProcess, number: signal.Signals
) -> None:
    key, state = store.key, tmp_path / "state"
    command = ingest_command(card, to=store.url, state=state, key=key, more=SLOW)
    with ingesting(command, tmp_path / "run.stderr") as run:
        half_sent(run, store)
        run.tree()
        run.signal(number)
        ended = run.ended(within_s=10)
    assert ended.code == 75, ended.words()
    assert ended.stderr == ""
    assert ended.summary["receipted"] < 2
    again = ingest(card, to=store.url, state=state, key=key)
    assert (again.code, again.counts) == (0, (2, 2, 0, 0, 0)), again.words()
    assert verified(state) == (2, 2, 2)


def test_a_second_ingest_on_one_state_folder_is_refused_and_harms_nothing(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    key, state = store.key, tmp_path / "state"
    slow = ingest_command(card, to=store.url, state=state, key=key, more=SLOW)
    with ingesting(slow, tmp_path / "first.stderr") as first:
        half_sent(first, store)
        second = subprocess.run(
            ingest_command(card, to=store.url, state=state, key=key),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (second.returncode, second.stdout) == (75, "")
        assert str(state) in second.stderr
        first.signal(signal.SIGTERM)
        assert first.ended().code == 75
    again = ingest(card, to=store.url, state=state, key=key)
    assert (again.code, again.counts) == (0, (2, 2, 0, 0, 0)), again.words()
    assert verified(state) == (2, 2, 2)


def test_a_limit_is_a_limit(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    ended = ingest(card, to=store.url, state=tmp_path / "state", key=store.key, more=("--limit", "128K"))
    assert ended.code == 0, ended.words()
    # 512 KiB at 128 KiB/s; what may go ahead at once is a fraction of a second's worth.
    assert ended.summary["elapsed_s"] > 3.5
