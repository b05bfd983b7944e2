"""`dockctl identify`: what may be pointed at, for how long, and who did it."""

import logging

import pytest

from dockd import ctl
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from tests.control_parts import ME, Station

ONE, TWO = BayId(1), BayId(2)


async def test_a_bay_that_is_pointed_at_blinks_until_it_is_stopped(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="dockd.edges.control"):
        said = await station.types("identify", "2")
        assert (said.code, said.out) == (ctl.EX_OK, "bay 2 blinks white, twice a second, for 60 s\n")
        assert (station.lamps.shown(ONE), station.lamps.shown(TWO)) == (Lamp.OFF, Lamp.IDENTIFY)
        said = await station.types("identify", "2", "--for", "600", "--json")
        assert (said.code, said.json) == (ctl.EX_OK, {"bay": 2, "seconds": 600})
        said = await station.types("identify", "2", "--stop")
        assert (said.code, said.out) == (ctl.EX_OK, "bay 2 shows its own state\n")
        assert station.lamps.shown(TWO) is Lamp.OFF
    assert caplog.messages == [f"bay 2 is pointed at for {seconds} s by {ME}" for seconds in (60, 600, 0)]


async def test_a_bay_that_is_not_there_or_too_long_a_while_is_refused(station: Station) -> None:
    said = await station.types("identify", "3")
    assert (said.code, said.err) == (ctl.EX_NOINPUT, "dockctl: bay 3: there is no such one here\n")
    said = await station.types("identify", "3", "--stop")
    assert said.code == ctl.EX_NOINPUT
    said = await station.types("identify", "1", "--for", "601")
    assert said.code == ctl.EX_FAILED
    assert said.err == "dockctl: seconds: 601: expected a whole number from 0 to 600\n"
    assert (await station.types("identify", "1", "--for", "5", "--stop")).code == 2
    assert (await station.types("identify", "first")).code == 2
    assert (await station.types("identify")).code == 2
    assert station.lamps.shown(ONE) is Lamp.OFF


async def test_without_a_daemon_nothing_is_pointed_at(station: Station) -> None:
    said = await station.types("identify", "1", offline=True)
    assert said.code == ctl.EX_UNAVAILABLE


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "expected JSON"),
        (b"{}", "bay: '': expected the number of a bay"),
        (b'{"bay": "1"}', "bay: '1': expected the number of a bay"),
        (b'{"bay": 1, "clips": [1]}', "expected an object with bay, seconds"),
        (b'{"bay": 1, "seconds": true}', "seconds: True: expected a whole number from 0 to 600"),
        (b'{"bay": 1, "seconds": 1.5}', "seconds: 1.5: expected"),
        (b'{"bay": 1, "seconds": -1}', "seconds: -1: expected"),
        (b'{"bay": 1, "seconds": null}', "seconds: None: expected"),
    ],
)
async def test_a_wish_that_is_none_is_refused_and_moves_no_lamp(station: Station, body: bytes, says: str) -> None:
    status, said = await station.posts("/v1/identify", body)
    assert status == 400
    assert says in said
    assert station.lamps.shown(ONE) is Lamp.OFF
