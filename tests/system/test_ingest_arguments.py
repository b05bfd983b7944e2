"""`dockd ingest` as people type it: what it refuses, and how it speaks."""

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.system.cards import contents, write
from tests.system.programs import DOCKD, StoreProcess

NOWHERE = "http://127.0.0.1:9/files/"

pytestmark = pytest.mark.timeout(180)


def say(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run `dockd ingest` with these arguments and nothing else."""
    return subprocess.run(
        [*DOCKD, "ingest", *arguments], stdin=stdin, capture_output=True, text=True, timeout=60, check=False
    )


# --- wrong arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required: PATH, --to"),
        (("CARD",), "required: --to"),
        (("--to", NOWHERE), "required: PATH"),
        (("CARD", "--to", NOWHERE, "--earse"), "unrecognized arguments: --earse"),
        (("CARD", "--to", NOWHERE, "--patience", "soon"), "argument --patience: invalid float value: 'soon'"),
        (("CARD", "--to", NOWHERE, "--verify", "trust"), "argument --verify: invalid choice: 'trust'"),
        (("CARD", "CARD", "--to", NOWHERE), "unrecognized arguments: CARD"),
    ],
)
def test_a_command_that_cannot_be_read_ends_with_2(arguments: Sequence[str], words: str) -> None:
    ended = say(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr


WRONG = [
    (("--to", "ftp://store/files/"), "--to: 'ftp://store/files/': expected an https:// address"),
    (("--to", "http://127.0.0.1:9/files"), "--to: 'http://127.0.0.1:9/files': expected an address that ends in '/'"),
    (("--to", "http://store.example/files/"), "--to: 'http://store.example/files/': expected https:// for a store on"),
    (("--to", "https://me:secret@store/files/"), "expected an address without name and password"),
    (("--station", "North 1"), "--station: 'North 1': expected"),
    (("--store-key", "ed25519:short"), "--store-key: 'ed25519:short': expected"),
    (("--store-key", "no-such-file.pub"), "--store-key: 'no-such-file.pub'"),
    (("--store-key", "ed25519:" + "A" * 43), "anybody can sign anything"),
    (("--cert", "/dev/null"), "--cert: '/dev/null': expected --cert and --key together"),
    (("--ca", "no-such-ca.pem"), "--ca: 'no-such-ca.pem': expected a file that can be read"),
    (("--token-file", "no-such-token"), "--token-file: 'no-such-token': expected a file that can be read"),
    (("--limit", "fast"), "--limit: 'fast': expected a number of bytes with K, M or G, such as 500K"),
    (("--limit", "1K"), "--limit: '1K': expected a number of bytes with K, M or G, such as 500K, at least 16384"),
    (("--reserve", "-1"), "--reserve: '-1': expected a number of bytes with K, M or G"),
    (("--patience", "nan"), "--patience: 'nan': expected a number of seconds, 0 or more"),
    (("--patience=-1",), "--patience: '-1.0': expected a number of seconds, 0 or more"),
    (("--patience", "inf"), "--patience: 'inf': expected a number of seconds, 0 or more"),
    (("--erase",), "--erase: 'given': expected --store-key"),
    (("--verify", "signed"), "--verify: 'signed': expected --store-key too"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_a_wrong_argument_is_refused_with_its_name_value_and_what_was_expected(
    tmp_path: Path, card: Path, arguments: Sequence[str], words: str
) -> None:
    before = contents(card)
    ended = say(str(card), "--to", NOWHERE, "--state", str(tmp_path / "state"), *arguments)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert contents(card) == before
    assert not (tmp_path / "state").exists()


def test_every_wrong_argument_is_shown_at_once(tmp_path: Path) -> None:
    ended = say(
        str(tmp_path / "no card"), "--to", "x", "--limit", "fast", "--ca", "gone", "--erase", "--store-key", "gone too",
        "--station", "?", "--patience", "nan",
    )  # fmt: skip
    assert ended.returncode == 78
    for name in ("PATH: ", "--to: ", "--limit: ", "--ca: ", "--store-key: ", "--station: ", "--patience: "):
        assert f"dockd: {name}" in ended.stderr or f"\n{name}" in ended.stderr, f"{name} not in {ended.stderr}"


@pytest.mark.parametrize("inside", ["", "state", "DCIM/state"])
def test_a_state_folder_on_the_card_is_refused(card: Path, inside: str) -> None:
    before = contents(card)
    ended = say(str(card), "--to", NOWHERE, "--state", str(card / inside))
    assert ended.returncode == 78
    assert "--state: " in ended.stderr
    assert "expected a folder outside of PATH" in ended.stderr
    assert contents(card) == before


def test_a_card_that_is_the_state_folder_of_another_ingest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state" / "spool").mkdir(parents=True)
    ended = say(str(tmp_path / "state" / "spool"), "--to", NOWHERE, "--state", str(tmp_path / "state"))
    assert ended.returncode == 78
    assert "expected a folder outside of PATH" in ended.stderr


def test_a_state_folder_that_is_a_file_is_refused(tmp_path: Path, card: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    ended = say(str(card), "--to", NOWHERE, "--state", str(tmp_path / "state"))
    assert ended.returncode in {71, 78}, ended.stderr
    assert str(tmp_path / "state") in ended.stderr
    assert "Traceback" not in ended.stderr


# --- how it speaks ------------------------------------------------------------------------------------------------


def test_without_json_it_ends_in_one_line_for_people(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    ended = say(str(card), "--to", store.url, "--state", str(tmp_path / "state"), "--store-key", store.key)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("2 clips, ")
    assert "2 receipted, 0 quarantined, 0 unproven, 0 erased" in ended.stdout


def test_on_a_terminal_it_shows_how_far_it_is(tmp_path: Path, card: Path, store: StoreProcess) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [*DOCKD, "ingest", str(card), "--to", store.url, "--state", str(tmp_path / "state")]
        ended = subprocess.run(
            [*command, "--store-key", store.key], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False
        )
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 0
    assert "receipted" in shown


def test_names_that_would_harm_a_terminal_are_shown_harmless(tmp_path: Path) -> None:
    card = tmp_path / "card"
    write(card, b"\x1b[31mred\n\xff.MP4", b"a clip")
    ended = say(str(card), "--to", NOWHERE, "--state", str(tmp_path / "state"), "--patience", "0")
    assert ended.returncode == 75
    assert "red" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert ended.stdout.isascii() or "\udcff" not in ended.stdout
