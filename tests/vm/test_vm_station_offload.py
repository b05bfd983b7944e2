"""Fourteen cameras come within seconds: their clips are receipted and erased, and their cards sound and empty."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.vm import contents
from tests.vm.cards import FileSystem, card, clips
from tests.vm.proofs import held, signed
from tests.vm.station import EMPTY, FAULT, Station

CLIPS = 2
CLIP_BYTES = 700_000

AT_HOME = f"bay['lamp'] == 'go-receipted' and bay['work']['erased_files'] == bay['work']['files'] == {CLIPS}"


def kind_of(bay: int) -> FileSystem:
    return "exfat" if bay % 2 else "vfat"


@pytest.mark.promise("I1", "I4", "I5", "I6", "I17")
def test_fourteen_cameras_are_receipted_and_erased_and_their_lamps_are_green(bays: Station, tmp_path: Path) -> None:
    see_them_brought_home(bays, tmp_path, bays.bays)


def see_them_brought_home(bays: Station, folder: Path, numbers: Sequence[int]) -> None:
    """Push a camera into each of some bays, see all of them green, and what is where once they were pulled out."""
    cards = {
        bay: card(folder / f"{bay}.img", kind_of(bay), clips(bay, count=CLIPS, each_bytes=CLIP_BYTES))
        for bay in numbers
    }
    sticks = [bays.plug(bay, made.image, serial=f"CAM-{bay:04}") for bay, made in cards.items()]
    at_home = f"all({AT_HOME} for bay in bays if bay['bay'] in {[*numbers]})"
    bays.until("bays", at_home, unless=FAULT, within_s=300)
    for stick in sticks:
        stick.yank()
    bays.until("bays", EMPTY, within_s=60)
    assert bays.mounted() == ""
    put = {(f"CAM-{bay:04}", name): digest for bay, made in cards.items() for name, digest in made.digests.items()}
    assert dict(held(bays.store, {camera for camera, _ in put})) == put
    assert signed(bays.store).keys() >= set(put.values())
    for bay, made in cards.items():
        assert contents.digests(made.image) == {}, f"bay {bay}, {made.file_system}"
        assert contents.complaints(made.image) == "", f"bay {bay}, {made.file_system}"
    checked = bays.ask("verify")
    assert (checked["problems"], checked["signatures"]) == ([], "signatures checked")
    assert checked["receipts"] >= len(put)


def test_the_daemon_has_no_privilege_at_all(bays: Station) -> None:
    shell = bays.machine.agent.shell
    pid = int(shell("systemctl show --property MainPID --value dockd"))
    status = dict(line.split(":\t", 1) for line in shell(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    (user,) = {*status["Uid"].split()}
    assert (user, status["NoNewPrivs"]) == (shell("id -u dockd").strip(), "1")
    assert user != "0"
    assert {int(status[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
