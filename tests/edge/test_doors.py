"""Who is plugged into a bay is let in by root's helper, however long that takes to answer."""

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.edges.doors import Doors
from dockd.edges.helper import Helper
from dockd.errors import CameraGoneError
from tests.copier_parts import a_dock
from tests.mount_parts import BAY, IDS, PLUGGED, Bay, a_bay

MANY = 100


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    with a_bay(a_dock(tmp_path)) as bay:
        yield bay


async def arrived(bay: Bay) -> None:
    """Have somebody arrive, and see it through to its end."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        Doors(Helper(bay.socket, deadline_s=20.0), patience_s=0.0).arriving(BAY, IDS, group)


@pytest.mark.promise("I17")
async def test_a_helper_that_has_no_time_is_asked_for_as_long_as_the_camera_is_there(
    bay: Bay, caplog: pytest.LogCaptureFixture
) -> None:
    # The last is said while somebody writes the board file anew.
    bay.helper.refusals["authorise"].extend([errno.EAGAIN, errno.EUCLEAN])
    await arrived(bay)
    assert bay.helper.asked == ["authorise"]
    assert caplog.text.count("is not let in yet") == 2


@pytest.mark.parametrize(
    ("number", "say"), [(errno.ENODEV, "left before it was let in"), (errno.ENOTBLK, "is not let in: ")]
)
async def test_a_camera_that_left_or_is_refused_is_not_asked_for_again(
    bay: Bay, caplog: pytest.LogCaptureFixture, number: int, say: str
) -> None:
    caplog.set_level(logging.INFO)
    bay.helper.refusals["authorise"].extend([number] * MANY)
    await arrived(bay)
    assert len(bay.helper.refusals["authorise"]) == MANY - 1
    assert say in caplog.text


@pytest.mark.promise("I17")
async def test_a_mount_that_comes_to_nothing_is_let_go_of_where_it_holds_up_no_other_bay(
    bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last descriptor of a mount is its unmounting, which hangs for as long as its device does."""
    close, card = os.close, bay.dock.card
    closing: list[str] = []

    def watched(descriptor: int) -> None:
        with suppress(OSError):
            if Path(f"/proc/self/fd/{descriptor}").readlink() == card and threading.current_thread().name != "helper":
                closing.append(threading.current_thread().name)
        close(descriptor)

    monkeypatch.setattr("dockd.edges.doors.os.close", watched)
    bay.helper.refusals["device"].append(errno.ENODEV)
    with pytest.raises(CameraGoneError):
        await bay.doors().mount(BAY, PLUGGED, writable=False)
    assert closing == ["close", "close"]
    assert bay.open_count() == 0
