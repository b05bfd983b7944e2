"""A copier that hangs, dies, babbles or is no longer wanted: the daemon goes on, and no part stays (I4, I17)."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.domain.listing import listing_of
from dockd.domain.model import BayId
from dockd.edges import copier_process
from dockd.edges.card import DescriptorCard, FolderCards
from dockd.edges.copier_process import Patience
from dockd.errors import CameraGoneError, Reason, TransientError
from tests.copier_parts import CAMERA, Dock, a_dock, endless, once


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


async def opened(dock: Dock, patience: Patience | None = None) -> tuple[FolderCards, DescriptorCard]:
    cards = FolderCards(dock.spool, erase=True, patience=patience)
    return cards, await cards.open(Attached(bay=BayId(1), camera=CAMERA, source=str(dock.card)))


def signalled(card: DescriptorCard, number: signal.Signals) -> Callable[[], None]:
    def act() -> None:
        assert card.copier_pid is not None
        os.kill(card.copier_pid, number)

    return act


async def works_again(dock: Dock, card: DescriptorCard) -> bool:
    """See that nothing of the endless copy is left, and that the next command has a new copier."""
    assert dock.kept() == []
    (dock.card / "BIG.MP4").unlink()
    file = dock.put("a")
    copied = await card.copy(file, progress=lambda _: None)
    return await card.listing() == listing_of([file]) and dock.kept() == [f"{copied.clip_id}.clip"]


@pytest.mark.promise("I17")
async def test_a_copier_killed_in_the_middle_of_a_file_is_a_usb_fault_and_the_next_command_works(dock: Dock) -> None:
    _, card = await opened(dock)
    with pytest.raises(TransientError, match="copy: the copier was lost: it died") as caught:
        await card.copy(endless(dock), progress=once(signalled(card, signal.SIGKILL)))
    assert caught.value.reason is Reason.USB
    assert await works_again(dock, card)
    await card.close()


@pytest.mark.promise("I17")
async def test_a_copier_that_hangs_is_killed_on_schedule_and_the_next_command_works(dock: Dock) -> None:
    _, card = await opened(dock, Patience(stall_s=3.0))
    with pytest.raises(TransientError, match="copy: no sign of life from the copier for 3 s") as caught:
        await card.copy(endless(dock), progress=once(signalled(card, signal.SIGSTOP)))
    assert caught.value.reason is Reason.USB
    assert await works_again(dock, card)
    await card.close()


async def test_a_copier_that_nobody_can_kill_is_abandoned_and_told(
    dock: Dock, caplog: pytest.LogCaptureFixture
) -> None:
    """A process in an uninterruptible wait outlives its kill; here the wait for its end is made nothing."""
    _, card = await opened(dock, Patience(kill_s=0.0))
    await card.listing()
    child = card._copier._child
    assert child is not None
    with pytest.raises(TransientError):
        await card.copy(endless(dock), progress=once(signalled(card, signal.SIGKILL)))
    assert caplog.messages == [f"copier {child.process.pid} outlived its kill by 0 s: it hangs in the kernel"]
    assert dock.kept() == []
    await child.process.communicate()
    await card.close()


@pytest.mark.promise("I4")
async def test_a_cancelled_copy_ends_its_copier_at_once_and_leaves_no_part(dock: Dock) -> None:
    _, card = await opened(dock)
    begun = asyncio.Event()
    copy = asyncio.create_task(card.copy(endless(dock), progress=once(begun.set)))
    await begun.wait()
    pid = card.copier_pid
    assert dock.kept() != []
    copy.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copy
    assert not Path(f"/proc/{pid}").exists()
    assert await works_again(dock, card)
    await card.close()


async def test_a_command_cancelled_while_it_waits_for_its_turn_disturbs_nobody(dock: Dock) -> None:
    _, card = await opened(dock)
    file, other = dock.put("a", os.urandom(8 << 20)), dock.put("b")
    first = asyncio.create_task(card.copy(file, progress=lambda _: None))
    second = asyncio.create_task(card.copy(other, progress=lambda _: None))
    await asyncio.sleep(0)
    second.cancel()
    assert (await first).length_bytes == 8 << 20
    assert len(dock.kept()) == 1
    await card.close()


async def test_closing_a_card_ends_the_copy_under_way(dock: Dock) -> None:
    _, card = await opened(dock)
    begun = asyncio.Event()
    copy = asyncio.create_task(card.copy(endless(dock), progress=once(begun.set)))
    await begun.wait()
    await card.close()
    with pytest.raises(CameraGoneError):
        await copy
    assert dock.kept() == []


async def test_a_listener_that_fails_ends_the_copy_and_is_heard(dock: Dock) -> None:
    _, card = await opened(dock)

    def progress(done_bytes: int) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await card.copy(endless(dock), progress=progress)
    assert await works_again(dock, card)
    await card.close()


FAKES = {
    "babble": "print('hello', flush=True); input()",
    "other-json": "print('[1]', flush=True); input()",
    "endless-line": "print('x' * 10_000_000, flush=True); input()",
    "exit": "pass",
    "cut-short": "print('{\"done\":', end='', flush=True)",
}


@pytest.mark.parametrize("fake", FAKES)
async def test_a_copier_that_makes_no_sense_is_lost(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: str
) -> None:
    program = tmp_path / "fake.py"
    program.write_text(FAKES[fake])
    _, card = await opened(dock)
    with monkeypatch.context() as patch:
        patch.setattr(copier_process, "COPIER", program)
        with pytest.raises(TransientError) as caught:
            await card.listing()
        assert caught.value.reason is Reason.USB
    assert await card.listing() == listing_of([])
    await card.close()


async def test_a_silence_of_the_disk_is_not_blamed_on_the_camera(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "fake.py"
    program.write_text('print(\'{"on":"disk"}\', flush=True); input(); input()')
    monkeypatch.setattr(copier_process, "COPIER", program)
    _, card = await opened(dock, Patience(stall_s=60.0, disk_stall_s=0.2))
    with pytest.raises(TransientError) as caught:
        await card.listing()
    assert caught.value.reason is Reason.DISK
    await card.close()


async def test_a_copier_that_cannot_be_started_is_lost(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, card = await opened(dock)
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(TransientError, match="No such file or directory"):
        await card.listing()
    await card.close()


@pytest.mark.promise("I14")
async def test_a_copier_inherits_no_secret_of_the_environment(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOAD_TOKEN", "hunter2")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/lib")
    _, card = await opened(dock)
    await card.listing()
    environment = Path(f"/proc/{card.copier_pid}/environ").read_bytes()
    assert environment == b"LD_LIBRARY_PATH=/lib\0"
    await card.close()
