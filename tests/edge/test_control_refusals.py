"""What dockctl's two desks refuse, and how they say it: a state folder that is no good, a socket that is no socket."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dockd import ctl
from dockd.edges.control.server import Desk, serving
from dockd.edges.control.store_list import receipts_in
from dockd.edges.keys import REMEMBERED, PinnedKeys, remember, remembered
from dockd.edges.ledger.schema import DATABASE, migrate, migrations
from dockd.errors import ConfigError, DockdError, Reason, TransientError
from tests.ledger_parts import docked, file, threaded


async def _unseen() -> Mapping[str, object]:
    raise AssertionError("nothing was asked")


def _nothing(_: Path) -> None:
    """Leave no database."""


def _junk(database: Path) -> None:
    database.write_bytes(bytes(range(256)) * 20)


def _empty(database: Path) -> None:
    database.write_bytes(b"")


def _newer(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.executescript("PRAGMA application_id = 0x646f636b; PRAGMA user_version = 999; CREATE TABLE t (a)")
    connection.close()


@pytest.mark.parametrize("question", ["status", "clips", "receipts"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_nothing, "is not there"), (_junk, "not a database"), (_empty, "schema version 0"), (_newer, "version 999")],
    ids=["missing", "junk", "empty", "newer"],
)
def test_a_state_folder_that_is_no_good_is_said_in_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    words: str,
    question: str,
) -> None:
    spoil(tmp_path / DATABASE)
    assert ctl.main([question, "--state", str(tmp_path)]) == ctl.EX_CONFIG
    said = capsys.readouterr().err
    assert words in said
    assert str(tmp_path / DATABASE) in said


async def test_a_ledger_with_a_damaged_page_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number:04}.MP4") for number in range(500)))
    database = bytearray((tmp_path / DATABASE).read_bytes())
    database[20_000:200_000] = b"\xa5" * 180_000
    (tmp_path / DATABASE).write_bytes(database)
    assert ctl.main(["clips", "--state", str(tmp_path)]) == ctl.EX_CONFIG
    assert "cannot be read" in capsys.readouterr().err


async def test_a_file_in_the_sockets_place_is_kept_and_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    async with await threaded(tmp_path / "state") as ledger:
        desk = Desk(view=_unseen, names={}, ledger=ledger, verify=_unseen, quarantine=None, pointing=None)  # type: ignore[arg-type] # never asked
        with pytest.raises(OSError, match=r"notes\.txt: Address already in use"):
            async with serving(desk, path=path, group=None):
                raise AssertionError("it served")
    assert path.read_text() == "mine"


async def test_a_daemon_that_cannot_answer_now_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def failing() -> Mapping[str, object]:
        raise TransientError(Reason.DISK, "ledger: read: disk I/O error (SQLITE_IOERR_READ)")

    path = tmp_path / "control.sock"
    async with await threaded(tmp_path / "state") as ledger:
        desk = Desk(view=failing, names={}, ledger=ledger, verify=failing, quarantine=None, pointing=None)  # type: ignore[arg-type] # never asked
        async with serving(desk, path=path, group=None):
            for question in ("status", "verify"):
                assert await asyncio.to_thread(ctl.main, [question, "--socket", str(path)]) == ctl.EX_FAILED
    assert capsys.readouterr().err == "dockctl: ledger: read: disk I/O error (SQLITE_IOERR_READ)\n" * 2


@pytest.mark.parametrize(
    "text", ["{", '{"receipts": 7}', '{"receipts": ' + "[" * 200_000], ids=["cut", "other", "deep"]
)
def test_a_file_that_is_no_list_of_receipts_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "told").write_text(text)
    with pytest.raises(DockdError, match=r"told: is no answer to GET /receipts"):
        receipts_in(tmp_path / "told")


def test_keys_that_cannot_be_remembered_are_said_with_the_file_and_may_work_later(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"receipt-keys: No such file or directory") as caught:
        remember(tmp_path / "gone", PinnedKeys({}))
    assert caught.value.reason is Reason.DISK


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe", "not ASCII"),
        (b"ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n/etc/passwd\n", "64 bytes that are not only keys"),
        (b"ed25519:" * 8193, "65537 bytes that are not only keys"),
        (None, "Is a directory"),
    ],
)
def test_remembered_keys_that_are_spoilt_are_named_with_their_file(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content is None:
        (tmp_path / REMEMBERED).mkdir()
    else:
        (tmp_path / REMEMBERED).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"receipt-keys: {why}: expected the keys that dockd left there"):
        remembered(tmp_path)


def test_a_disk_too_full_for_a_new_ledger_is_to_be_tried_again(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 5")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        migrate(connection, database=None, scripts=migrations())
    assert not connection.in_transaction
    connection.close()
