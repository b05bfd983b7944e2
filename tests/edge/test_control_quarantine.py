"""`dockctl quarantine` over the local socket and on a folder at rest: words, numbers, exit codes, and who asked."""

import asyncio
import http.client
import json
import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockd import ctl
from dockd.app.ports import Salvaged
from dockd.app.quarantine import Quarantine
from dockd.app.uplink import UplinkView
from dockd.app.view import StationView
from dockd.domain.clip import Change, Move
from dockd.domain.model import (
    Clip,
    ClipId,
    ClipKey,
    ClipState,
    DockingId,
    Gap,
    ListedFile,
    Sha256,
    StationId,
    clip_id_of,
)
from dockd.edges.control.offline import Folder
from dockd.edges.control.server import Desk, serving
from dockd.edges.ledger import views
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import Reason
from tests.ledger_parts import CAMERA, STATION, attached, bring, copied, docked, file, threaded

ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
NOTHING: frozenset[DockingId] = frozenset()
ODD = ListedFile(path=b"DCIM/\x1b[31m<b>\xff.MP4", length_bytes=100, mtime_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What dockctl said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Standard output as JSON."""
        return json.loads(self.out)


class Bays:
    """Nothing is docked."""

    def works_on(self, docking: DockingId) -> bool:
        return docking in NOTHING

    def goes_on(self, clip: Clip) -> None:
        """Have nothing to do with it."""

    def read_again(self, docking: DockingId) -> bool:
        return docking in NOTHING


class Copies:
    """A spool in which every copy is whole."""

    def __init__(self, ledger: StationLedger) -> None:
        self._ledger = ledger

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        (clip,) = await self._ledger.query(views.clips_named(clip_id))
        return None if clip.sha256 is None else (clip.sha256, clip.length_bytes)


class Station:
    """A state folder, its daemon's socket, and people at it."""

    def __init__(self, folder: Path, ledger: StationLedger, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.ledger = ledger
        self._capsys = capsys

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.folder / "control.sock"

    async def types(self, *words: str, offline: bool = False) -> Said:
        """Type a command."""
        where = ("--state", str(self.folder)) if offline else ("--socket", str(self.socket))
        try:
            code = await asyncio.to_thread(ctl.main, [*words, *where])
        except SystemExit as end:
            code = int(str(end.code))
        said = self._capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)

    async def becomes(self, key: int, state: ClipState) -> None:
        """Wait for what was taken on."""
        for _ in range(2000):
            if (await self.ledger.clip(ClipKey(key))).state is state:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"clip {key} does not become {state}")

    async def posts(self, path: str, body: bytes) -> tuple[int, str]:
        """Send what dockctl never would."""
        return await asyncio.to_thread(self._post, path, body)

    def _post(self, path: str, body: bytes) -> tuple[int, str]:
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request("POST", path, body)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said


@pytest.fixture
async def station(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Station]:
    """Clip 1 is unreadable and salvaged as clip 4, clip 2 is held with a copy here, docking 2 broke."""
    async with await threaded(tmp_path) as ledger, served(tmp_path, ledger):
        docking = await docked(ledger, ODD, file("B.MP4"), file("C.MP4"))
        assert [(await ledger.clip(ClipKey(key))).path for key in (1, 2, 3)] == [ODD.path, b"DCIM/B.MP4", b"DCIM/C.MP4"]
        clip = await ledger.clip(ClipKey(1))
        sha256 = Sha256("e" * 64)
        salvaged = Salvaged(
            clip_id=clip_id_of(camera=clip.camera, path=clip.path, length_bytes=100, sha256=sha256),
            sha256=sha256,
            length_bytes=100,
            gaps=(Gap(offset_bytes=10, length_bytes=5),),
        )
        await ledger.salvage(clip.key, salvaged, docking=docking)
        unreadable = Change(reason=Reason.UNREADABLE, detail="5 of 100 bytes cannot be read")
        await ledger.move(clip.key, Move.HELD, unreadable, actor="offload")
        await ledger.move(ClipKey(3), Move.COPIED, copied(await ledger.clip(ClipKey(3))), actor="offload")
        await ledger.move(ClipKey(3), Move.HELD, Change(reason=Reason.RECEIPT, detail="forged"), actor="upload")
        await ledger.undock(docking, early=True, left_files=1)
        broke = await ledger.dock(attached(bay=2))
        await ledger.broke(broke, Reason.DUPLICATE_NAME, "b'A' is listed twice")
        yield Station(tmp_path, ledger, capsys)


@asynccontextmanager
async def served(folder: Path, ledger: StationLedger) -> AsyncIterator[None]:
    async def view() -> StationView:
        uplink = UplinkView(
            reason=None, detail="", failures=0, failing_s=0.0, sending={}, verifying_files=0, overdue_files=0
        )
        backlog = await ledger.backlog()
        return StationView(station=StationId(STATION), bays=(), uplink=uplink, backlog=backlog, spool_full="")

    async def verify() -> dict[str, Any]:
        return {}

    quarantine = Quarantine(ledger=ledger, spool=Copies(ledger), bays=Bays())  # type: ignore[arg-type]  # of a spool only its digest is asked for
    desk = Desk(view=view, names={}, ledger=ledger, verify=verify, quarantine=quarantine)
    async with serving(desk, path=folder / "control.sock", group=None):
        working = asyncio.create_task(quarantine.run(), name="quarantine")
        yield
        working.cancel()


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


@pytest.mark.promise("I11")
async def test_a_retry_goes_on_record_under_the_name_of_who_asked(station: Station) -> None:
    said = await station.types("quarantine", "retry", "3", "1", "2", "77")
    assert said.code == ctl.EX_NOINPUT, "one of them is unknown"
    assert said.out.splitlines() == [
        "       3  taken on: its copy here is read now: if that is whole the clip goes on, else it stays in quarantine",
        "       1  waits: its camera is not docked here now: it is tried again by itself when it is",
        "       2  wrong state: is not in quarantine (it is found)",
        "      77  unknown: there is no such number here",
    ]
    await station.becomes(3, ClipState.COPIED)
    shown = await station.types("quarantine", "show", "3")
    assert f"{ME}: left quarantine, to be sent from its copy here" in shown.out


async def test_a_retry_that_could_not_be_done_now_ends_with_1(station: Station) -> None:
    assert (await station.types("quarantine", "retry", "1")).code == ctl.EX_FAILED
    assert (await station.types("quarantine", "retry", "d2")).code == ctl.EX_FAILED
    assert (await station.types("quarantine", "retry", "3")).code == ctl.EX_OK


async def test_a_retry_of_everything_or_of_one_camera(station: Station) -> None:
    nobody = await station.types("quarantine", "retry", "--camera", "NOBODY")
    assert (nobody.code, nobody.out) == (ctl.EX_OK, "nothing is in quarantine\n")
    said = await station.types("quarantine", "retry", "--all", "--json")
    outcomes = {row["number"]: row["outcome"] for row in said.json["results"]}
    assert outcomes == {"d2": "waits", "1": "waits", "3": "taken on"}
    assert said.code == ctl.EX_FAILED
    await station.becomes(3, ClipState.COPIED)
    mine = await station.types("quarantine", "retry", "--camera", CAMERA.serial, "--json")
    assert [row["number"] for row in mine.json["results"]] == ["d2", "1"]


@pytest.mark.parametrize("words", [[], ["1", "--all"], ["--all", "--camera", "X"]])
async def test_a_retry_has_to_say_of_what(station: Station, words: list[str]) -> None:
    said = await station.types("quarantine", "retry", *words)
    assert said.code == 2
    assert "expected numbers, or --all, or --camera SERIAL, and one of these only" in said.err


@pytest.mark.promise("I4", "I18")
async def test_a_release_needs_a_reason_is_on_record_and_silences_the_alarm(station: Station) -> None:
    assert (await station.types("quarantine", "release", "1")).code == 2
    blank = await station.types("quarantine", "release", "1", "--why", "  ")
    assert blank.code == ctl.EX_FAILED
    assert "why: '': expected 1 to 1000 characters: it goes on record" in blank.err
    before = (await station.types("status", "--json")).json
    assert before["quarantine"] == {"clips": 2, "cameras": 1}
    for number in ("1", "d2"):
        said = await station.types("quarantine", "release", number, "--why", "card \x1b[31m imaged, exhibit 7")
        assert said.code == ctl.EX_OK
        assert "it stays in quarantine and on the accounts, and alarms no more" in said.out
    assert (await station.types("status", "--json")).json["quarantine"] == {"clips": 1, "cameras": 0}
    listed = await station.types("quarantine", "list")
    assert rf"[looked at by {ME}: card \x1b[31m imaged, exhibit 7]" in listed.out
    assert (await station.types("quarantine", "release", "3", "--why", "asks the store anew")).code == ctl.EX_OK
    after = await station.types("quarantine", "list", offline=True)
    assert after.code == ctl.EX_OK, "nothing is left that nobody has looked at"
    status = await station.types("status", offline=True)
    assert status.code == ctl.EX_OK
    assert status.out.count("held") == 1, "and it is still counted"


async def test_status_counts_what_nobody_has_looked_at(station: Station) -> None:
    for offline in (False, True):
        said = await station.types("status", offline=offline)
        assert said.code == ctl.EX_FAILED
        assert "  quarantine 2 clips, 1 cameras: dockctl quarantine list" in said.out


async def test_without_a_daemon_nothing_is_retried_or_released(station: Station) -> None:
    for words in (["retry", "--all"], ["release", "1", "--why", "x"]):
        said = await station.types("quarantine", *words, offline=True)
        assert said.code == ctl.EX_UNAVAILABLE
        assert "expected a running daemon to tell it to (leave --state out)" in said.err
    assert (await station.ledger.clip(ClipKey(1))).acknowledged == ""


async def test_a_quarantine_that_is_empty_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with await threaded(tmp_path) as ledger, served(tmp_path, ledger):
        station = Station(tmp_path, ledger, capsys)
        said = await station.types("quarantine", "list")
        assert (said.code, said.out) == (ctl.EX_OK, "nothing is in quarantine\n")
        assert (await station.types("quarantine", "list", "--json")).json == {"cameras": [], "clips": []}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("quarantine/retry", b"{", "expected JSON"),
        pytest.param("quarantine/retry", b"[" * 100_000, "expected JSON", id="nested"),
        ("quarantine/retry", b"[1]", "expected an object with camera, clips, dockings, everything"),
        ("quarantine/retry", b"{}", "expected numbers, or everything, or a camera, and one of these only"),
        ("quarantine/retry", b'{"clips": [1], "why": "x"}', "expected an object with"),
        ("quarantine/retry", b'{"clips": [true]}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"clips": [-1]}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"clips": "1"}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"everything": 1}', "expected true or false, a serial, and text"),
        ("quarantine/retry", b'{"everything": true, "clips": [1]}', "one of these only"),
        ("quarantine/release", b'{"everything": true, "why": "x"}', "expected an object with clips, dockings, why"),
        ("quarantine/release", b'{"clips": [1]}', "why: '': expected 1 to 1000 characters"),
        ("quarantine/release", b'{"clips": [1], "why": "' + b"x" * 1001 + b'"}', "expected 1 to 1000 characters"),
        ("quarantine/release", b'{"why": "x"}', "one of these only"),
    ],
)
async def test_a_wish_that_is_none_is_refused_and_changes_nothing(
    station: Station, path: str, body: bytes, says: str
) -> None:
    before = await station.ledger.held(after=ClipKey(0), limit=10)
    status, said = await station.posts(f"/v1/{path}", body)
    assert status == 400
    assert says in said
    assert await station.ledger.held(after=ClipKey(0), limit=10) == before


@pytest.mark.promise("I15")
@pytest.mark.parametrize(
    "path", ["erase", "quarantine/erase", "quarantine/delete", "quarantine/hold", "clips", "clip/1", "status", "verify"]
)
async def test_there_is_no_other_wish_to_be_granted(station: Station, path: str) -> None:
    status, _ = await station.posts(f"/v1/{path}", b'{"clips": [1], "why": "x"}')
    assert status in {404, 405}


@pytest.mark.promise("I1", "I15")
async def test_a_receipted_clip_is_out_of_reach_of_every_wish(station: Station) -> None:
    clip = await bring(station.ledger, await station.ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    for words in (["retry", "2"], ["release", "2", "--why", "x"]):
        said = await station.types("quarantine", *words)
        assert said.code == ctl.EX_FAILED
        assert "wrong state: is not in quarantine (it is receipted)" in said.out
    await station.types("quarantine", "retry", "--all")
    assert await station.ledger.clip(ClipKey(2)) == clip


async def test_a_user_without_a_name_is_known_by_number(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert (await station.types("quarantine", "retry", "3")).code == ctl.EX_OK
    shown = await station.types("quarantine", "show", "3")
    assert f"user:uid-{os.getuid()}: left quarantine" in shown.out


def test_an_error_of_the_daemon_is_said_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["quarantine", "retry", "--all", "--socket", str(tmp_path / "none.sock")]) == ctl.EX_UNAVAILABLE
    assert "expected a running dockd there" in capsys.readouterr().err


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
