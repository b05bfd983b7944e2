"""Makes the fixture of the newest schema version: `.venv/bin/python tests/databases/make.py`, from the root.

Run it once for each new version and keep what it makes; the folders of older versions are never made again, since no
code is left that would write them. It holds what a station holds after some dockings: clips in every state, a held
one, one that a later file superseded, names that are no text, what a profile read, receipts that name custody entries.
"""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from dockd.domain.clip import Change, Move  # noqa: E402 - the path comes first
from dockd.domain.model import Assurance, Camera, CameraSerial, ClipKey, ClipState, ListedFile, VolumeId  # noqa: E402
from dockd.edges.ledger.ledger import StationLedger  # noqa: E402
from dockd.edges.ledger.schema import DATABASE, migrations  # noqa: E402
from dockd.errors import Reason  # noqa: E402
from tests.ledger_parts import CAMERA, bring, docked, file, inline, listing, reading  # noqa: E402

ODD = Camera(serial=CameraSerial("caf\xe9\udcff"), volume=VolumeId("folder"))
READ = reading(group=b"9", profile="example", recorded="2024-10-27T01:30:00", recorded_is="twice", role="clip")
STRANGER = reading(profile="example", recorded="unknown", recorded_is="unknown", role="stranger")


async def fill(ledger: StationLedger) -> None:
    """Let some shifts go by."""
    files = [file(f"A{number}.MP4", mtime_s=1_714_550_000 + number, urgent=number == 3) for number in range(8)]
    sidecars = [file("A4.THM", length_bytes=0), file("A4.GPX", length_bytes=12)]
    docking = await docked(ledger, *files, *sidecars)
    states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)
    for key, state in enumerate(states, 2):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    await ledger.move(ClipKey(3), Move.READ_BACK, Change(assurance=Assurance.READBACK), actor="upload")
    await ledger.move(ClipKey(6), Move.RECLAIMED, Change(), actor="reclaim")
    change = Change(reason=Reason.UNREADABLE, detail="the card gives an error at byte 4096")
    await ledger.move(ClipKey(7), Move.HELD, change, actor="offload")
    await ledger.note("lifted", actor="station", docking=docking)
    await ledger.undock(docking, early=True, left_files=5)
    again = await docked(ledger, *files, bay=2)
    await ledger.supersede(ClipKey(2), files[1], docking=again)
    odd = ListedFile(path=b"new\nline \xff\xfe.MP4", length_bytes=5 * 2**30, mtime_ns=-1, reading=STRANGER)
    await docked(ledger, odd, file("\N{PILE OF POO}.XYZ"), camera=ODD, bay=3)
    read = file("A9.MP4", reading=READ)
    await ledger.record_listing(again, listing(*files[:3], read))
    await bring(ledger, await ledger.clip(ClipKey(13)), ClipState.ERASING)
    await ledger.annotate(ClipKey(1), Change(reason=Reason.DISK_FULL, detail="no room for 100 bytes"))


async def main() -> None:
    """Make the folder of the newest version."""
    folder = Path(__file__).parent / f"v{len(migrations())}"
    folder.mkdir(exist_ok=True)
    (folder / DATABASE).unlink(missing_ok=True)
    async with await inline(folder) as ledger:
        await fill(ledger)
    sys.stdout.write(f"{folder / DATABASE}: cameras {CAMERA.serial} and another\n")


if __name__ == "__main__":
    asyncio.run(main())
