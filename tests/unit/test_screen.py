"""The table of a station: what each bay, lamp and foot line says, with and without colour or width."""

import io
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.console import Console

from dockd.app.view import BayView, StationView
from dockd.domain.bay import Tally, Work
from dockd.domain.lamps import PATTERNS, Lamp
from dockd.domain.model import BayId, CameraSerial, ClipKey, ClipState
from dockd.domain.schedule import JobKind
from dockd.errors import Reason
from dockd.screen import show_bytes, show_name, show_text, station_picture
from dockd.screen.words import done_share, show_backlog, show_doing, show_lamp, show_ready, show_store
from tests.station_views import CAMERA, DOCKED, FREE, IN_REACH, station, underway


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
    assert "about 63 %" in drawn(station(replace(DOCKED, inferred=True)))
    assert "about" not in drawn(station(DOCKED))


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
