"""The machine's clock: what is recorded of it, and what is not believed of it."""

import ctypes
import errno
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from dockd.edges import clock as clock_edge
from dockd.edges.clock import Discipline, SystemChance, SystemClock, kernel_discipline

if TYPE_CHECKING:
    from dockd.app.ports import Chance, Clock

pytestmark = pytest.mark.promise("I13")


def refused() -> Discipline:
    raise PermissionError(1, "Operation not permitted")


def clock(tmp_path: Path, found: Discipline | None) -> SystemClock:
    (tmp_path / "rtc").mkdir(exist_ok=True)
    return SystemClock(
        discipline=refused if found is None else lambda: found,
        rtc_folder=tmp_path / "rtc",
        timesyncd_mark=tmp_path / "synchronized",
    )


def rtc(tmp_path: Path, name: str, hctosys: str) -> None:
    (tmp_path / "rtc" / name).mkdir(parents=True)
    (tmp_path / "rtc" / name / "hctosys").write_text(hctosys)


def test_the_wall_time_is_utc_with_microseconds() -> None:
    the_clock: Clock = SystemClock()
    before = datetime.now(tz=UTC)
    stamp = the_clock.now()
    after = datetime.now(tz=UTC)
    assert len(stamp.utc) == len("2026-03-01T06:12:44.120003Z")
    assert stamp.utc.endswith("Z")
    assert before <= datetime.fromisoformat(stamp.utc) <= after
    assert stamp.source in {"ntp", "rtc", "unset"}
    assert (stamp.uncertainty_ms >= 0) == (stamp.source == "ntp")


def test_midnight_keeps_its_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Midnight(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Midnight":
            return cls(2026, 3, 1, tzinfo=tz)

    monkeypatch.setattr("dockd.edges.clock.datetime", Midnight)
    assert SystemClock().now().utc == "2026-03-01T00:00:00.000000Z"


def test_a_synchronised_clock_says_how_far_it_may_be_off(tmp_path: Path) -> None:
    stamp = clock(tmp_path, Discipline(synchronised=True, maxerror_us=12_001)).now()
    assert (stamp.source, stamp.uncertainty_ms) == ("ntp", 13)


def test_a_clock_that_nobody_set_says_so(tmp_path: Path) -> None:
    stamp = clock(tmp_path, Discipline(synchronised=False, maxerror_us=16_000_000)).now()
    assert (stamp.source, stamp.uncertainty_ms) == ("unset", -1)


@pytest.mark.parametrize(("hctosys", "source"), [("1\n", "rtc"), ("0\n", "unset")])
def test_a_clock_set_from_a_battery_backed_one_says_so(tmp_path: Path, hctosys: str, source: str) -> None:
    rtc(tmp_path, "rtc0", hctosys)
    stamp = clock(tmp_path, Discipline(synchronised=False, maxerror_us=16_000_000)).now()
    assert (stamp.source, stamp.uncertainty_ms) == (source, -1)


def test_an_rtc_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "rtc/rtc0/hctosys").mkdir(parents=True)
    assert clock(tmp_path, Discipline(synchronised=False, maxerror_us=0)).now().source == "unset"


def test_where_the_kernel_may_not_be_asked_the_uncertainty_is_unknown(tmp_path: Path) -> None:
    assert clock(tmp_path, None).now().source == "unset"
    (tmp_path / "synchronized").touch()
    stamp = clock(tmp_path, None).now()
    assert (stamp.source, stamp.uncertainty_ms) == ("ntp", -1)


def test_the_kernel_fills_the_struct_as_we_read_it() -> None:
    """Its time and its tick lie around what we use: had we laid the struct out otherwise, they would make no sense."""
    timex = clock_edge.ask_kernel()
    assert abs(timex.time_s - time.time()) < 5
    assert 9_000 <= timex.tick <= 11_000
    assert 0 <= timex.maxerror <= 16_000_000
    assert kernel_discipline().synchronised == (timex.status & 0x40 == 0)


def test_a_kernel_that_may_not_be_asked_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def adjtimex(_: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(clock_edge, "LIBC", SimpleNamespace(adjtimex=adjtimex))
    with pytest.raises(PermissionError):
        kernel_discipline()


async def test_time_goes_on_while_asleep() -> None:
    the_clock = SystemClock()
    before_s = the_clock.monotonic_s()
    await the_clock.sleep(0.01)
    assert the_clock.monotonic_s() - before_s >= 0.009


def test_chance_is_spread_over_its_range() -> None:
    chance: Chance = SystemChance()
    drawn = [chance.jitter() for _ in range(1000)]
    assert all(0 <= number < 1 for number in drawn)
    assert {int(number * 10) for number in drawn} == set(range(10))


@pytest.mark.parametrize("zone", ["Europe/London", "America/St_Johns", "UTC-13", "Pacific/Apia"])
@pytest.mark.parametrize("change_s", [1_774_746_000, 1_792_890_000], ids=["forward", "back"])
def test_a_time_zone_and_its_summer_time_change_nothing(
    monkeypatch: pytest.MonkeyPatch, zone: str, change_s: int
) -> None:
    """Around London's two changes of 2026, every ten minutes: UTC, no moment left out and none written twice."""
    said: list[str] = []
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for moment_s in range(change_s - 7200, change_s + 7200, 600):

            class Then(datetime):
                @classmethod
                def now(cls, tz: tzinfo | None = None, *, at_s: int = moment_s) -> "Then":
                    return cls.fromtimestamp(at_s, tz)

            monkeypatch.setattr("dockd.edges.clock.datetime", Then)
            said.append(SystemClock().now().utc)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert said == [f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
                    for at_s in range(change_s - 7200, change_s + 7200, 600)]  # fmt: skip
