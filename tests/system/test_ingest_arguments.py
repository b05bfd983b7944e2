"""`dockd ingest` as people type it: what it refuses, what it waits for, how it ends and is run again."""

import hashlib
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.system.cards import contents, write
from tests.system.evidence import clip_rows, moves, stored
from tests.system.programs import (
    DOCKD,
    Ended,
    Ingest,
    StoreProcess,
    dockctl,
    ingest,
    ingest_command,
    ingesting,
    verified,
)
from tests.system.waiting import until
from tests.tus_peers import Authority

KEY = "ed25519:1mneeScUh3SwbDC0fNoV_1bhE8pktoU1ZeTPBzfWnSY"
NOWHERE = "http://127.0.0.1:9/files/"
SLOW = ("--limit", "64K")

pytestmark = pytest.mark.timeout(180)


def say(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run `dockd ingest` with these arguments and nothing else."""
    return subprocess.run(
        [*DOCKD, "ingest", *arguments], stdin=stdin, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of two recordings, a long and a short one."""
    folder = tmp_path / "card"
    write(folder, b"DCIM/LONG.MP4", bytes(range(256)) * 2048)  # 512 KiB
    write(folder, b"DCIM/SHORT.MP4", b"a short one")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path / "central") as process:
        yield process


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
    until(lambda: any(part.stat().st_size > 0 for part in (store.folder / "uploads").iterdir()), "bytes at the store")
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


# --- TLS and credentials ------------------------------------------------------------------------------------------


TOKEN = "the-token-of-desk-1"


@pytest.fixture
def authority() -> Authority:
    return Authority.make()


@pytest.fixture
def strict_store(tmp_path: Path, authority: Authority) -> Iterator[StoreProcess]:
    """A store with TLS under a private authority, that lets in client certificates and tokens."""
    certificate = str(authority.write_certificate(tmp_path, "127.0.0.1"))
    tokens = tmp_path / "tokens"
    tokens.write_text(f"upload desk-1 {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    tls = ("--tls-cert", certificate, "--tls-key", certificate, "--client-ca", str(authority.write_ca(tmp_path)))
    with StoreProcess(tmp_path / "central", arguments=(*tls, "--token-file", str(tokens))) as process:
        yield process


def bring(card: Path, store: StoreProcess, *more: str | Path) -> Ended:
    """Ingest with a little patience, and erase what may be erased."""
    state = card.parent / "state"
    texts = ["--erase", "--patience", "1", *map(str, more)]
    return ingest(card, to=store.url, state=state, key=store.key, more=texts)


def test_a_client_certificate_under_a_private_authority_lets_in(
    tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority
) -> None:
    ours = authority.write_certificate(tmp_path, "desk-1")
    ended = bring(card, strict_store, "--ca", authority.write_ca(tmp_path), "--cert", ours, "--key", ours)
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 2)), ended.words()
    assert contents(card) == {}


def test_a_token_lets_in(tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    ended = bring(card, strict_store, "--ca", authority.write_ca(tmp_path), "--token-file", tmp_path / "token")
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 2)), ended.words()


@pytest.mark.promise("I14")
def test_a_store_under_another_authority_is_told_nothing(
    tmp_path: Path, card: Path, strict_store: StoreProcess
) -> None:
    before = contents(card)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    other = Authority.make("Another").write_ca(tmp_path)
    ended = bring(card, strict_store, "--ca", other, "--token-file", tmp_path / "token")
    assert ended.code == 75, ended.words()
    assert {line["reason"] for line in ended.troubles.values()} == {"tls"}
    assert contents(card) == before


def test_without_credentials_or_with_wrong_ones_nothing_is_taken_and_the_reason_is_auth(
    tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority
) -> None:
    before = contents(card)
    ca = authority.write_ca(tmp_path)
    other = authority.write_certificate(tmp_path, "desk-2")
    (tmp_path / "token").write_text("somebody-elses\n")
    (tmp_path / "empty").write_text("\n")
    ways = (
        (),
        ("--token-file", tmp_path / "token"),
        ("--token-file", tmp_path / "empty"),
        ("--cert", other, "--key", other),
    )
    for way in ways:
        ended = bring(card, strict_store, "--ca", ca, *way)
        assert (ended.code, ended.counts) == (1, (2, 0, 0, 2, 0)), ended.words()
        assert {line["reason"] for line in ended.troubles.values()} == {"auth"}
        assert TOKEN not in ended.words()
    assert contents(card) == before
    assert {row["state"] for row in clip_rows(tmp_path / "state")} == {"copied"}
    assert not list((strict_store.folder / "uploads").iterdir())
