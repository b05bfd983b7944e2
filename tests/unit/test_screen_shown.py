"""How a station is shown over time: lines for a pipe, a table on a terminal, and neither where it is to be quiet."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from dockd.domain.bay import Work
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from dockd.domain.schedule import JobKind
from dockd.errors import Reason
from dockd.screen import Changes, IngestProgress, LiveBays, showing
from dockd.screen.svg import picture_svg
from tests.station_views import DOCKED, FREE, IN_REACH, station, underway

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
