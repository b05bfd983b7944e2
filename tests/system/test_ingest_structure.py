"""`dockd ingest --device --erase` of crafted cards: each is refused with its reason, and keeps every file (I7)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.card_images import Image
from tests.crafted_cards import CRAFTED, ODD
from tests.system.cards import contents, write
from tests.system.evidence import entries, objects
from tests.system.programs import StoreProcess, ingest

pytestmark = pytest.mark.timeout(300)

REFUSED = [
    "fat16-cycle",
    "fat32-cross-link",
    "fat16-size-beyond-chain",
    "fat32-tables-differ",
    "fat16-name-slash",
    "fat16-name-equal-but-for-case",
    "fat16-long-name-of-another-s-short",
    "fat32-loop-to-parent",
    "fat16-truncated",
    "exfat-cycle",
    "exfat-row-in-a-row",
    "exfat-size-beyond-card",
    "exfat-name-slash",
    "exfat-sum",
]
TAKEN = ["fat32-dirty", "fat16-name-escape", "exfat-dirty"]
"""In the same way and by the same store, so that what refuses a card is what is wrong with it."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path_factory.mktemp("central")) as store:
        yield store


def a_card(folder: Path, image: Image) -> tuple[Path, Path]:
    """Make the folder that a kernel would show of an image, as far as a folder here can, and the image."""
    card = folder / "card"
    card.mkdir()
    for path, data in image.files.items():
        if b"\0" not in path and path != b"..":
            write(card, path, data)
    return card, image.disk.save(folder / "card.img")


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", REFUSED)
def test_a_crafted_card_is_quarantined_with_its_reason_and_keeps_every_file(
    name: str, store: StoreProcess, tmp_path: Path
) -> None:
    crafted = CRAFTED[name]
    card, image = a_card(tmp_path, crafted.make())
    before, objects_before = contents(card), objects(store.folder)
    ended = ingest(
        card,
        to=store.url,
        state=tmp_path / "state",
        key=store.key,
        more=("--device", str(image), "--erase", "--camera", name),
    )
    assert ended.code == 1, ended.words()
    assert ended.counts == (0, 0, 0, 0, 0)
    assert contents(card) == before
    assert objects(store.folder) == objects_before
    (trouble,) = [line["detail"] for line in ended.lines if line["event"] == "trouble"]
    assert f"({crafted.kind})" in trouble
    (broke,) = [entry["facts"] for entry in entries(tmp_path / "state") if entry["cause"] == "camera broken"]
    assert broke["reason"] == ("duplicate-name" if crafted.kind == "duplicate-name" else "structure")
    assert broke["why"] == trouble


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_card_that_holds_together_is_receipted_and_erased(
    name: str, store: StoreProcess, tmp_path: Path
) -> None:
    image = ODD[name].make()
    card, saved = a_card(tmp_path, image)
    before = len(objects(store.folder))
    ended = ingest(
        card,
        to=store.url,
        state=tmp_path / "state",
        key=store.key,
        more=("--device", str(saved), "--erase", "--camera", name),
    )
    count = len(image.files)
    assert ended.code == 0, ended.words()
    assert ended.counts == (count, count, 0, 0, count)
    assert contents(card) == {}
    assert len(objects(store.folder)) == before + count
    (listed,) = [entry["facts"] for entry in entries(tmp_path / "state") if entry["cause"] == "listed"]
    assert listed["card_dirty"] == ("yes" if "dirty" in name else "no")
    assert listed["card_filesystem"] == name.split("-", maxsplit=1)[0]


def test_a_refused_card_stands_in_quarantine_with_words_for_people(store: StoreProcess, tmp_path: Path) -> None:
    card, image = a_card(tmp_path, CRAFTED["fat16-cycle"].make())
    state = tmp_path / "state"
    assert ingest(card, to=store.url, state=state, key=store.key, more=("--device", str(image))).code == 1
    command = (sys.executable, "-m", "dockd.ctl", "quarantine", "list", "--state", str(state))
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    assert "structure: the card's file system does not hold together, so nothing on it is touched" in listed
    assert "never repair it" in listed.lower()


@pytest.mark.promise("I4")
def test_a_file_with_more_behind_its_end_is_receipted_and_stays_on_the_card(
    store: StoreProcess, tmp_path: Path
) -> None:
    image = ODD["fat16-chain-goes-on"].make()
    card, saved = a_card(tmp_path, image)
    ended = ingest(
        card, to=store.url, state=tmp_path / "state", key=store.key, more=("--device", str(saved), "--erase")
    )
    assert ended.summary["receipted"] == 2, ended.words()
    assert contents(card) == {b"cut.mp4": b""}
    assert ended.troubles["cut.mp4"]["reason"] == "refused"


@pytest.mark.promise("I7")
def test_a_device_of_another_card_is_found_out_by_its_files(store: StoreProcess, tmp_path: Path) -> None:
    card, saved = a_card(tmp_path, ODD["fat12"].make())
    write(card, b"one more.mp4", b"not on that card")
    ended = ingest(
        card, to=store.url, state=tmp_path / "state", key=store.key, more=("--device", str(saved), "--erase")
    )
    assert ended.code == 1, ended.words()
    assert len(contents(card)) == 3
    (trouble,) = [line["detail"] for line in ended.lines if line["event"] == "trouble"]
    assert trouble.startswith("3 files of 4216 bytes are listed, its filesystem has 2 of 4200")


def test_a_device_that_is_none_is_refused_before_anything_begins(store: StoreProcess, tmp_path: Path) -> None:
    card, _ = a_card(tmp_path, ODD["fat12"].make())
    ended = ingest(card, to=store.url, state=tmp_path / "state", key=store.key, more=("--device", str(card)))
    assert ended.code == 78, ended.words()
    assert "--device" in ended.stderr
    assert "expected a partition or an image that can be read" in ended.stderr
