"""Cards that somebody made to deceive, on a real kernel: each is held back with its reason, and no other bay minds."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crafted_cards import CRAFTED
from tests.vm import contents
from tests.vm.cards import START_BYTES, card, clips, partitioned
from tests.vm.proofs import held
from tests.vm.station import EMPTY, Station

DECEITFUL = (
    "fat12-cross-link",
    "fat16-name-slash",
    "fat16-name-equal",
    "fat16-equal-short-names",
    "fat16-size-beyond-chain",
    "fat16-cycle",
    "fat16-free-cluster",
    "fat16-deep",
    "fat32-cycle",
    "fat32-loop-to-root",
    "fat32-chain-beyond-card",
    "exfat-cross-link",
)
"""One a bay; of the other two bays each has a sound card."""


def crafted(folder: Path, name: str) -> Path:
    """Make a card of a crafted image, as its only partition."""
    image = CRAFTED[name].make().disk
    made, partition = folder / f"{name}.img", image.save(folder / "part")
    size_bytes = START_BYTES + image.size_bytes
    partitioned(made, partition, "exfat" if name.startswith("exfat") else "vfat", size_bytes=size_bytes)
    return made


@pytest.mark.promise("I7", "I16")
def test_each_crafted_card_is_held_back_with_its_reason_and_no_other_bay_minds(bays: Station, tmp_path: Path) -> None:
    see_them_held_back(bays, tmp_path, DECEITFUL)


def see_them_held_back(bays: Station, folder: Path, names: Sequence[str]) -> None:
    """Push crafted cards into bays from the first on, and two sound ones after them; see what becomes of each."""
    count = len(names)
    images = [crafted(folder, name) for name in names]
    before = [hashlib.sha256(image.read_bytes()).hexdigest() for image in images]
    sound = [
        card(folder / "vfat.img", "vfat", clips(31, count=2, each_bytes=1 << 18)),
        card(folder / "exfat.img", "exfat", clips(32, count=2, each_bytes=1 << 18)),
    ]
    every = [*images, *(made.image for made in sound)]
    sticks = [bays.plug(bay, image, serial=f"CRAFTED-{bay}") for bay, image in zip(bays.bays, every, strict=False)]
    assert len(sticks) == count + 2
    judged = (
        f"all(bay['phase'] == 'fault' for bay in bays[:{count}])"
        f" and all(bay['lamp'] == 'go-receipted' for bay in bays[{count}:{count + 2}])"
    )
    told_to_go = f"any(bay['lamp'].startswith('go-') for bay in bays[:{count}])"
    answer = bays.until("bays", judged, unless=told_to_go, within_s=180)
    for name, bay in zip(names, answer["bays"], strict=False):
        reason = "duplicate-name" if CRAFTED[name].kind == "duplicate-name" else "structure"
        assert (name, bay["reason"], bay["lamp"], bay["work"]["files"]) == (name, reason, "leave", 0)
        assert f"({CRAFTED[name].kind})" in bay["detail"] or reason == "duplicate-name", (name, bay["detail"])
    listed = bays.said("quarantine", "list").out
    assert all(f"CRAFTED-{bay}" in listed for bay in range(1, count + 1)), listed
    for stick in sticks:
        stick.yank()
    bays.until("bays", EMPTY, within_s=60)
    assert bays.mounted() == ""
    assert [hashlib.sha256(image.read_bytes()).hexdigest() for image in images] == before
    assert sorted(held(bays.store, {f"CRAFTED-{bay}" for bay in bays.bays}).values()) == sorted(
        digest for made in sound for digest in made.digests.values()
    )
    assert [contents.digests(made.image) for made in sound] == [{}, {}]
