import io
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from rich.console import Console

from dockd.app.bus import Underway
from dockd.app.uplink import UplinkView
from dockd.app.view import BayView, StationView
from dockd.domain.bay import Tally, Work
from dockd.domain.lamps import PATTERNS, Lamp
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, ClipKey, ClipState, DockingId, StationId
from dockd.domain.schedule import JobKind
from dockd.errors import Reason
from dockd.screen import Changes, IngestProgress, LiveBays, show_bytes, show_name, show_text, showing, station_picture
from dockd.screen.svg import picture_svg
from dockd.screen.words import done_share, show_backlog, show_doing, show_lamp, show_ready, show_store

CAMERA = Camera(serial=CameraSerial("DKD-0412"), volume=FOLDER_VOLUME)
IN_REACH = UplinkView(reason=None, detail="", failures=0, failing_s=0.0, sending={}, verifying_files=0, overdue_files=0)
NOTHING = Tally(files=MappingProxyType({}), bytes_=MappingProxyType({}))
DOCKED = BayView(
    number=BayId(3),
    phase="offloading",
    lamp=Lamp.WAIT,
    camera=CAMERA,
    docking=DockingId(7),
    work=Work(files=10, bytes_=1000, left_files=6, left_bytes=600, unreceipted_files=8, receipted_files=2),
    underway=None,
    charge_pct=63,
    minutes=4,
    reason=None,
    detail="",
)
FREE = BayView(
    number=BayId(1),
    phase="empty",
    lamp=Lamp.EMPTY,
    camera=None,
    docking=None,
    work=Work(),
    underway=None,
    charge_pct=None,
    minutes=None,
    reason=None,
    detail="",
)


def underway(kind: JobKind, bytes_done: int = 0) -> Underway:
    return Underway(docking=DockingId(7), clip=ClipKey(1), kind=kind, bytes_done=bytes_done)


def station(
    *bays: BayView, uplink: UplinkView = IN_REACH, backlog: Tally = NOTHING, spool_full: str = ""
) -> StationView:
    return StationView(station=StationId("north-1"), bays=bays, uplink=uplink, backlog=backlog, spool_full=spool_full)


def drawn(view: StationView, *, elapsed_s: Mapping[BayId, float] | None = None, ascii_only: bool = False) -> str:
    console = Console(file=io.StringIO(), width=170, color_system=None, record=True)
    picture = station_picture(
        view, elapsed_s=elapsed_s or {}, store="http://127.0.0.1:1080/files/", title="a shift", ascii_only=ascii_only
    )
    console.print(picture)
    return console.export_text()


@pytest.mark.parametrize("lamp", list(Lamp))
def test_every_lamp_reads_without_colour(lamp: Lamp) -> None:
    """The lamp's colour as a word, its rhythm and both answers are in the text of the table."""
    text = drawn(station(replace(DOCKED, lamp=lamp)))
    pattern = PATTERNS[lamp]
    assert pattern.rhythm in text
    assert pattern.colour.value in text
    assert pattern.take in text
    assert pattern.safe in text


def test_no_two_lamps_are_shown_in_the_same_words() -> None:
    assert len({show_lamp(lamp) for lamp in Lamp}) == len(Lamp)


def test_a_row_says_camera_battery_progress_minutes_and_receipts() -> None:
    row = next(line for line in drawn(station(FREE, DOCKED)).splitlines() if "DKD-0412" in line)
    assert re.sub(r" {2,}", " | ", row.strip()) == (
        "3 | DKD-0412 | ● yellow, 1 Hz | please wait | not yet | ███░░░░░ | 40 % waits its turn | 4 min | 2/10 | 63 %"
    )


def test_a_narrow_terminal_shows_everything_in_taller_rows() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None, record=True)
    view = station(replace(DOCKED, lamp=Lamp.CHARGING_COPIED), FREE)
    console.print(station_picture(view, elapsed_s={}, store="here", title="", narrow=True))
    text = " ".join(console.export_text().split())
    for word in (
        "DKD-0412",
        "● blue, 2 s",
        "on, 2 s off",
        "rather not:",
        "copied here,",
        "40 % waits its",
        "ready: charging",
    ):
        assert word in text
    assert "receipts: 2/10" in text
    assert "battery: 63 %" in text


def test_an_empty_bay_has_no_camera_no_battery_and_no_receipts() -> None:
    row = next(line for line in drawn(station(FREE)).splitlines() if "dock here" in line)
    assert row.split("dock here")[1].split() == ["-", "-", "-", "-", "-"]
    assert row.split()[:2] == ["1", "-"]


def test_a_battery_that_cannot_be_read_is_unknown() -> None:
    assert "unknown" in drawn(station(replace(DOCKED, charge_pct=None)))


def test_the_lamp_in_the_table_blinks_as_the_lamp_does() -> None:
    leave = station(replace(DOCKED, lamp=Lamp.LEAVE))
    shown = [drawn(leave, elapsed_s={BayId(3): at_s}) for at_s in (0.1, 0.3, 0.6, 0.9, 2.1)]
    assert ["●" in text for text in shown] == [True, False, True, False, True]
    assert ["○" in text for text in shown] == [False, True, False, True, False]


def test_a_terminal_without_unicode_gets_no_character_that_it_cannot_show() -> None:
    table = drawn(station(DOCKED, FREE), ascii_only=True)
    rows = [line for line in table.splitlines() if "Hz" in line or "blip" in line]
    assert all(line.isascii() for line in rows)
    assert "* yellow, 1 Hz" in table


@pytest.mark.parametrize(
    ("changed", "ready"),
    [
        ({"lamp": Lamp.WAIT, "minutes": 4}, "4 min"),
        ({"lamp": Lamp.WAIT, "minutes": 0}, "1 min"),
        ({"lamp": Lamp.WAIT, "minutes": None}, "-"),
        ({"lamp": Lamp.GO_COPIED, "minutes": 0}, "now"),
        ({"lamp": Lamp.GO_RECEIPTED, "minutes": 0}, "now"),
        ({"lamp": Lamp.CHARGING_COPIED, "minutes": 0}, "charging"),
        ({"lamp": Lamp.CHARGING_RECEIPTED, "minutes": 0}, "charging"),
        ({"lamp": Lamp.LEAVE, "minutes": 0}, "-"),
        ({"lamp": Lamp.EMPTY, "minutes": None}, "-"),
        ({"lamp": Lamp.OFF, "minutes": None}, "-"),
        ({"lamp": Lamp.IDENTIFY, "minutes": 2}, "-"),
    ],
)
def test_ready_says_now_only_where_the_lamp_says_go(changed: dict[str, object], ready: str) -> None:
    assert show_ready(replace(DOCKED, **changed)) == ready  # type: ignore[arg-type]  # fields by name, from the table


@pytest.mark.parametrize(
    ("bay", "doing"),
    [
        (replace(DOCKED, underway=underway(JobKind.COPY)), "copying"),
        (replace(DOCKED, underway=underway(JobKind.CONFIRM)), "reading again"),
        (replace(DOCKED, underway=underway(JobKind.ERASE)), "clearing"),
        (DOCKED, "waits its turn"),
        (replace(DOCKED, phase="settling"), "reading the card"),
        (replace(DOCKED, phase="ready"), "copied"),
        (replace(DOCKED, phase="ready", work=Work(files=2, erased_files=2, receipted_files=2)), "clean"),
        (replace(DOCKED, phase="fault"), "stopped"),
        (FREE, ""),
        (replace(FREE, phase="unknown"), ""),
    ],
)
def test_what_is_done_with_a_camera_is_one_word_or_three(bay: BayView, doing: str) -> None:
    assert show_doing(bay) == doing


@pytest.mark.parametrize(
    ("bay", "share"),
    [
        (DOCKED, 0.4),
        (replace(DOCKED, underway=underway(JobKind.COPY, 100)), 0.5),
        (replace(DOCKED, underway=underway(JobKind.CONFIRM, 100)), 0.4),
        (replace(DOCKED, work=Work(files=1, bytes_=0, left_files=1)), 0.0),
        (replace(DOCKED, work=Work(files=1, bytes_=0, left_files=0)), 1.0),
        (replace(DOCKED, underway=underway(JobKind.COPY, 9999)), 1.0),
    ],
)
def test_progress_counts_the_bytes_of_the_file_under_way(bay: BayView, share: float) -> None:
    assert done_share(bay) == pytest.approx(share)


def test_the_foot_names_the_store_the_backlog_and_what_is_wrong() -> None:
    away = replace(IN_REACH, reason=Reason.NETWORK, detail="connection refused", failures=3, failing_s=12.4)
    backlog = Tally(files={ClipState.COPIED: 3, ClipState.HELD: 1}, bytes_={ClipState.COPIED: 4_200_000})
    broken = replace(DOCKED, lamp=Lamp.LEAVE, phase="fault", reason=Reason.USB, detail="no answer for 30 s")
    text = drawn(station(broken, uplink=away, backlog=backlog, spool_full="3 MB free, 9 MB wanted"))
    assert "store    http://127.0.0.1:1080/files/: network for 12 s, 3 tries: connection refused" in text
    assert "backlog  3 to upload (4.2 MB), 1 held for somebody to look at (0 B)" in text
    assert "copying has stopped: 3 MB free, 9 MB wanted" in text
    assert "bay 3: usb: no answer for 30 s" in text


def test_a_store_in_reach_says_what_it_is_doing() -> None:
    busy = replace(IN_REACH, sending={ClipKey(1): 5, ClipKey(2): 0}, verifying_files=4, overdue_files=1)
    assert show_store(station(uplink=busy)) == "in reach, sending 2, 4 being verified there, 1 receipts overdue"
    assert show_store(station()) == "in reach"
    assert show_backlog(station()) == "nothing"


def test_a_serial_that_is_markup_or_control_codes_is_shown_as_data() -> None:
    hostile = replace(CAMERA, serial=CameraSerial("[red]A\x1b[31m\u202e"))
    text = drawn(station(replace(DOCKED, camera=hostile)))
    assert "[red]A\\x1b[31m\\u202e" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5_750_000_000, "5.8 GB"),
        (1_500_000_000_000, "1.5 TB"),
    ],
)
def test_bytes_are_shown_in_decimal_units(count: int, shown: str) -> None:
    assert show_bytes(count) == shown


def test_names_are_shown_whole_and_harmless() -> None:
    assert show_name(b"DCIM/a b\n\xff\x1b.MP4") == "DCIM/a b\\n\\xff\\x1b.MP4"
    assert show_name("DCIM/\N{CAMERA}.MP4".encode()) == "DCIM/\N{CAMERA}.MP4"
    assert show_text("plain") == "plain"


# --- lines --------------------------------------------------------------------------------------------------------


def test_a_line_comes_for_a_change_and_for_nothing_else() -> None:
    changes = Changes()
    assert list(changes.lines(station(FREE))) == [
        "bay 1: [white, blip every 5 s] may I take it? dock here; is my evidence safe? -"
    ]
    assert list(changes.lines(station(FREE))) == []
    docked = replace(DOCKED, number=BayId(1))
    assert list(changes.lines(station(docked))) == [
        "bay 1: DKD-0412 [yellow, 1 Hz] may I take it? please wait; is my evidence safe? not yet; 2 of 10 receipted"
    ]
    further = replace(docked, work=replace(docked.work, receipted_files=3), charge_pct=64)
    assert list(changes.lines(station(further))) == []


def test_a_camera_taken_early_is_said_to_hold_clips_still() -> None:
    changes = Changes()
    list(changes.lines(station(DOCKED)))
    gone = replace(FREE, number=BayId(3))
    assert list(changes.lines(station(gone))) == [
        "bay 3: DKD-0412 left early, 6 clips still on it: nothing is lost",
        "bay 3: [white, blip every 5 s] may I take it? dock here; is my evidence safe? -",
    ]


def test_a_camera_that_was_done_leaves_without_ado() -> None:
    changes = Changes()
    list(changes.lines(station(replace(DOCKED, work=Work(files=2, receipted_files=2)))))
    assert len(list(changes.lines(station(replace(FREE, number=BayId(3)))))) == 1


def test_a_fault_is_told_with_its_reason() -> None:
    broken = replace(DOCKED, lamp=Lamp.LEAVE, phase="fault", reason=Reason.USB, detail="no answer\n")
    (line,) = Changes().lines(station(broken))
    assert line.endswith("held, nothing lost; 2 of 10 receipted; usb: no answer\\n")


def test_losing_and_finding_the_store_is_told_once_each() -> None:
    changes = Changes()
    away = replace(IN_REACH, reason=Reason.NETWORK, detail="refused", failures=1, failing_s=0.4)
    assert list(changes.lines(station())) == []
    assert list(changes.lines(station(uplink=away))) == ["store: network for 0 s, 1 tries: refused"]
    assert list(changes.lines(station(uplink=replace(away, failing_s=9.0)))) == []
    assert list(changes.lines(station())) == ["store: in reach"]


# --- a terminal ---------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "170")
    return Terminal()


def test_the_live_table_takes_the_terminal_and_gives_it_back(terminal: Terminal) -> None:
    with LiveBays(file=terminal) as live:
        live.update(station(DOCKED), now_s=0.0, title="shift 1", store="here")
    drawing = terminal.getvalue()
    assert "DKD-0412" in drawing
    assert drawing.index("\x1b[?25l") < drawing.rindex("\x1b[?25h"), "the cursor is shown again at the end"


def test_the_live_table_is_coloured_and_without_colour_under_no_color(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
    with LiveBays(file=terminal) as live:
        live.update(station(DOCKED), now_s=0.0, title="shift 1", store="here")
    assert coloured.search(terminal.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    with LiveBays(file=plain) as live:
        live.update(station(DOCKED), now_s=0.0, title="shift 1", store="here")
    assert "yellow, 1 Hz" in plain.getvalue()
    assert not coloured.search(plain.getvalue())


def test_a_rhythm_begins_anew_when_the_lamp_changes(terminal: Terminal) -> None:
    live = LiveBays(file=terminal)
    console = Console(file=io.StringIO(), width=170, color_system=None)

    def lit(lamp: Lamp, at_s: float) -> bool:
        with console.capture() as captured:
            console.print(live.frame(station(replace(DOCKED, lamp=lamp)), now_s=at_s, title="", store=""))
        return "●" in captured.get()

    assert [lit(Lamp.WAIT, 10.0), lit(Lamp.WAIT, 10.6)] == [True, False]
    assert [lit(Lamp.CHARGING_COPIED, 10.7), lit(Lamp.CHARGING_COPIED, 12.6), lit(Lamp.CHARGING_COPIED, 12.8)] == [
        True,
        True,
        False,
    ]


def test_ingest_shows_bytes_copied_and_files_receipted(terminal: Terminal) -> None:
    work = Work(files=10, bytes_=3_000_000, left_files=6, left_bytes=1_500_000, receipted_files=2, held_files=1)
    with IngestProgress(file=terminal) as bar:
        bar.update(station(replace(DOCKED, work=work)))
    drawing = terminal.getvalue()
    assert "1.5 MB of 3.0 MB, 4 of 10 files" in drawing
    assert "2 of 10 files, 1 held" in drawing
    assert drawing.rstrip().endswith("\x1b[?25h")


def test_ingest_says_why_it_does_not_go_on(terminal: Terminal) -> None:
    away = replace(IN_REACH, reason=Reason.DNS, detail="no such host [x]", failures=2, failing_s=3.0)
    with IngestProgress(file=terminal) as bar:
        bar.update(station(DOCKED, uplink=away, spool_full="disk full"))
        bar.update(station(replace(DOCKED, underway=underway(JobKind.COPY, 300))))
        bar.update(station(replace(DOCKED, underway=underway(JobKind.COPY, 600))))
    drawing = terminal.getvalue()
    assert "store: dns for 3 s, 2 tries: no such host [x]" in drawing
    assert "copying has stopped: disk full" in drawing


def test_the_picture_is_one_svg_that_asks_for_nothing_from_anywhere() -> None:
    svg = picture_svg(station(DOCKED, FREE), elapsed_s={}, store="the store", title="a shift")
    assert svg == picture_svg(station(DOCKED, FREE), elapsed_s={}, store="the store", title="a shift")
    assert svg.count("<svg") == 1
    assert svg.rstrip().endswith("</svg>")
    for word in ("DKD-0412", "yellow,", "please", "#ecc854"):
        assert word in svg
    assert re.findall(r"https?://[^\"'\s<]+|@import|url\((?!#)", svg) == ["http://www.w3.org/2000/svg"]


# --- where it is shown --------------------------------------------------------------------------------------------


def test_a_pipe_gets_lines_and_no_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(quiet=False) as screen:
        screen.show(station(FREE), title="shift 1", store="here")
        screen.show(station(FREE), title="shift 1", store="here")
        screen.say("over")
    assert capsys.readouterr().out.splitlines() == [
        "shift 1, store here",
        "bay 1: [white, blip every 5 s] may I take it? dock here; is my evidence safe? -",
        "over",
    ]


def test_a_quiet_showing_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(quiet=True) as screen:
        screen.show(station(FREE), title="shift 1", store="here")
        screen.say("over")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_table_and_what_is_said_stays_above_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", terminal)
    with showing(quiet=False) as screen:
        screen.show(station(DOCKED), title="shift 1", store="here")
        screen.say("over")
    drawing = terminal.getvalue()
    assert "DKD-0412" in drawing
    assert "over" in drawing
    assert drawing.index("\x1b[?25l") < drawing.rindex("\x1b[?25h")
