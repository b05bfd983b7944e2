"""What `dockctl quarantine` shows, over the local socket and on a folder at rest: words, numbers, exit codes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd import ctl
from dockd.ctl.desk import Daemon
from dockd.edges.control.offline import Folder
from dockd.edges.control.shape import Document
from tests.control_parts import Station, served
from tests.ledger_parts import threaded


@pytest.mark.parametrize("offline", [False, True])
async def test_the_list_says_why_and_what_to_do_in_words(station: Station, *, offline: bool) -> None:
    said = await station.types("quarantine", "list", offline=offline)
    assert said.code == ctl.EX_FAILED
    camera, unreadable, receipt = said.out.splitlines()[:3]
    assert camera.split()[0] == "d2"
    assert "CAM0001" in camera
    assert "(camera, bay 2)  duplicate-name: the card has one name twice" in camera
    assert unreadable.split()[0] == "1"
    assert r"DCIM/\x1b[31m<b>\xff.MP4  unreadable: the card gives errors for this file" in unreadable
    assert receipt.split()[0] == "3"
    assert "DCIM/C.MP4  receipt: the store's receipt is missing" in receipt
    assert "\x1b" not in said.out
    assert "unreadable:\n  officer  Leave the camera in its bay and take another" in said.out
    told = (await station.types("quarantine", "list", "--json", offline=offline)).json
    assert [row["number"] for row in told["cameras"] + told["clips"]] == ["d2", "1", "3"]
    assert told["clips"][0]["since_utc"].startswith("2024-05-01T00:00:")
    assert told["clips"][0]["detail"] == "5 of 100 bytes cannot be read"


@pytest.mark.parametrize("offline", [False, True])
async def test_one_clip_is_shown_with_everything_that_is_known_of_it(station: Station, *, offline: bool) -> None:
    said = await station.types("quarantine", "show", "1", offline=offline)
    assert said.code == ctl.EX_OK
    for words in (
        "clip       1, held, assurance none",
        "reason     unreadable: the card gives errors for this file",
        "detail     5 of 100 bytes cannot be read",
        "officer    Leave the camera in its bay",
        "salvaged   as clip 4, copied, without 10+5 (offset+length)",
        "d2  2024-05-01T00:00:",
        "bay 2, never listed whole, open, duplicate-name: b'A' is listed twice",
        "bay 1, 3 files listed, ended 2024",
        "offload: was listed on its camera for the first time",
        "offload: went into quarantine (reason unreadable, detail 5 of 100 bytes cannot be read)",
    ):
        assert words in said.out, words
    assert "\x1b" not in said.out
    salvaged = await station.types("quarantine", "show", "4", offline=offline)
    assert "gaps       10+5 (5 bytes, offset+length)" in salvaged.out
    assert "is what could be read of a file that gives errors (of 1)" in salvaged.out
    told = (await station.types("quarantine", "show", "4", "--json", offline=offline)).json
    assert (told["gaps"], told["unreadable_bytes"], told["copy_here"]) == ("10+5", 5, True)


@pytest.mark.parametrize("offline", [False, True])
async def test_one_camera_is_shown_with_its_dockings_and_clips(station: Station, *, offline: bool) -> None:
    said = await station.types("quarantine", "show", "d2", offline=offline)
    assert said.code == ctl.EX_OK
    assert "camera     CAM0001, volume 1A2B-3C4D" in said.out
    assert "model      BWC-9 2.1" in said.out
    assert "reason     duplicate-name: the card has one name twice" in said.out
    assert r"         3  receipt  DCIM/C.MP4" in said.out


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("number", ["99", "d99"])
async def test_a_number_that_is_not_there_is_said_so(station: Station, number: str, *, offline: bool) -> None:
    said = await station.types("quarantine", "show", number, offline=offline)
    assert (said.code, said.out) == (ctl.EX_NOINPUT, "")
    assert "99: there is no such one here" in said.err


@pytest.mark.parametrize("number", ["x", "-1", "d", "1e3", "", "9" * 30])
async def test_what_is_no_number_is_wrong_usage(station: Station, number: str) -> None:
    said = await station.types("quarantine", "show", number)
    assert said.code == 2
    assert "expected the number of a clip, or d and that of a docking" in said.err or "argument" in said.err


async def test_status_counts_what_nobody_has_looked_at(station: Station) -> None:
    for offline in (False, True):
        said = await station.types("status", offline=offline)
        assert said.code == ctl.EX_FAILED
        assert "  quarantine 2 clips, 1 cameras: dockctl quarantine list" in said.out


async def test_a_quarantine_that_is_empty_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with await threaded(tmp_path) as ledger, served(tmp_path, ledger):
        station = Station(tmp_path, ledger, capsys)
        said = await station.types("quarantine", "list")
        assert (said.code, said.out) == (ctl.EX_OK, "nothing is in quarantine\n")
        assert (await station.types("quarantine", "list", "--json")).json == {"cameras": [], "clips": [], "kept": []}


async def test_copies_without_a_clip_are_counted_in_words(station: Station) -> None:
    spool = station.folder / "spool"
    spool.mkdir(exist_ok=True)
    (spool / f"{'f' * 64}.clip").write_bytes(b"seven b")
    for command in ("status", "verify"):
        said = await station.types(command, offline=True)
        assert "  spool      1 copies without a clip, 7 bytes\n" in said.out, said


async def test_a_card_that_keeps_files_is_said_to_in_words(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    status = Folder.status
    monkeypatch.setattr(Folder, "status", lambda self: {**status(self), "kept": {"3": 2}})
    said = await station.types("status", offline=True)
    assert "  bay 3      this card keeps 2 files: their chains go on past their end; it may be taken" in said.out


async def test_what_a_card_keeps_is_listed_beside_the_quarantine_and_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks why a camera never gets empty asks here; its files are safe, so nothing alarms."""
    rows = Daemon.rows
    bays: list[Document] = [
        {"bay": 2, "camera": "CAM0002", "kept_files": 0},
        {"bay": 3, "camera": "CAM0001", "kept_files": 2},
    ]

    def asked(self: Daemon, question: str, **filters: str | None) -> Iterator[Document]:
        return iter(bays) if question == "bays" else rows(self, question, **filters)

    monkeypatch.setattr(Daemon, "rows", asked)
    async with await threaded(tmp_path) as ledger, served(tmp_path, ledger):
        station = Station(tmp_path, ledger, capsys)
        said = await station.types("quarantine", "list")
        assert said.code == ctl.EX_OK
        assert said.out.startswith("nothing is in quarantine\n\nkept: files stay on their card whatever their receipt")
        assert "\n  bay 3    CAM0001: 2 files\n  officer  Nothing: the lamp" in said.out
        assert "CAM0002" not in said.out
        (kept,) = (await station.types("quarantine", "list", "--json")).json["kept"]
        assert (kept["bay"], kept["camera"], kept["files"]) == (3, "CAM0001", 2)
        assert "imaged" in kept["it"]
        offline = await station.types("quarantine", "list", offline=True)
        assert offline.out == "nothing is in quarantine\n"
