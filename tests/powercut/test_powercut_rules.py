"""What survives a cut, rule by rule."""

import random

from tests.powercut.oplog import ROOT, Claimed, Linked, Lost, Made, Record, Renamed, Synced, Truncated, Unlinked, Wrote
from tests.powercut.rebuild import Medium, Wreck

FILE, FOLDER, OTHER = 2, 3, 4
OLD, NEW = b"o" * 4096, b"n" * 4096


def wrecks(*records: Record) -> list[Wreck]:
    """Give what a hundred cuts after these operations leave."""
    medium = Medium()
    for record in records:
        medium.take(record)
    return [medium.cut(random.Random(seed)) for seed in range(100)]


def contents(*records: Record) -> set[bytes | None]:
    """Give everything that the file `a` may hold then; None where it is not there."""
    return {wreck.files["a"].data if "a" in wreck.files else None for wreck in wrecks(*records)}


def test_a_file_and_its_name_that_were_synced_stay() -> None:
    assert contents(
        Made(FILE, folder=False), Linked(ROOT, "a", FILE), Wrote(FILE, 0, b"x"), Synced(FILE), Synced(ROOT)
    ) == {b"x"}


def test_a_synced_file_whose_folder_was_not_synced_may_be_gone() -> None:
    assert contents(Made(FILE, folder=False), Linked(ROOT, "a", FILE), Wrote(FILE, 0, b"x"), Synced(FILE)) == {
        b"x",
        None,
    }


def test_a_file_that_was_not_synced_may_be_empty_or_of_zeros() -> None:
    left = contents(Made(FILE, folder=False), Linked(ROOT, "a", FILE), Wrote(FILE, 0, b"xyz"), Synced(ROOT))
    assert left == {b"", b"xyz", bytes(3)}


def test_each_page_survives_by_itself_and_may_be_torn_at_a_sector() -> None:
    left = contents(
        Made(FILE, folder=False), Linked(ROOT, "a", FILE), Wrote(FILE, 0, OLD + OLD), Synced(FILE), Synced(ROOT),
        Wrote(FILE, 0, NEW), Wrote(FILE, 4096, NEW),
    )  # fmt: skip
    assert {OLD + OLD, NEW + OLD, OLD + NEW, NEW + NEW} < left
    torn = [data for data in left if data and data[:4096] not in {OLD, NEW}]
    assert torn
    assert all(data[at : at + 512] in {OLD[:512], NEW[:512]} for data in torn for at in range(0, 8192, 512))


def test_a_truncation_that_was_not_synced_may_not_have_happened() -> None:
    left = contents(
        Made(FILE, folder=False), Linked(ROOT, "a", FILE), Wrote(FILE, 0, b"abcd"), Synced(FILE), Synced(ROOT),
        Truncated(FILE, 2),
    )  # fmt: skip
    assert {b"abcd", b"ab"} <= left


def test_what_a_failed_sync_lost_does_not_come_back_with_the_next_one() -> None:
    assert contents(
        Made(FILE, folder=False), Linked(ROOT, "a", FILE), Synced(ROOT), Wrote(FILE, 0, b"x"), Lost(FILE), Synced(FILE)
    ) == {b""}


def test_a_rename_happened_or_did_not() -> None:
    names = {
        tuple(sorted(wreck.files))
        for wreck in wrecks(
            Made(FILE, folder=False),
            Linked(ROOT, "part", FILE),
            Synced(ROOT),
            Renamed(ROOT, "part", ROOT, "whole", FILE),
        )
    }
    assert names == {("part",), ("whole",)}


def test_a_rename_into_another_folder_is_kept_by_that_folder() -> None:
    before = (
        Made(FOLDER, folder=True), Linked(ROOT, "to", FOLDER), Made(FILE, folder=False), Linked(ROOT, "part", FILE),
        Synced(ROOT), Renamed(ROOT, "part", FOLDER, "whole", FILE),
    )  # fmt: skip
    assert {tuple(wreck.files) for wreck in wrecks(*before, Synced(FOLDER))} == {("to/whole",)}
    assert {tuple(wreck.files) for wreck in wrecks(*before, Synced(ROOT))} == {("part",), ("to/whole",)}


def test_an_unlink_that_was_not_synced_may_come_back() -> None:
    begun = (Made(FILE, folder=False), Linked(ROOT, "a", FILE), Synced(ROOT), Unlinked(ROOT, "a"))
    assert contents(*begun) == {b"", None}
    assert contents(*begun, Synced(ROOT)) == {None}


def test_nothing_stays_below_a_folder_whose_own_name_was_not_synced() -> None:
    left = wrecks(
        Made(FOLDER, folder=True), Linked(ROOT, "in", FOLDER), Made(OTHER, folder=False), Linked(FOLDER, "a", OTHER),
        Synced(OTHER), Synced(FOLDER),
    )  # fmt: skip
    assert {tuple(wreck.files) for wreck in left} == {(), ("in/a",)}


def test_a_claim_stands_from_where_it_was_made() -> None:
    assert {wreck.claims for wreck in wrecks(Claimed(b"{}"))} == {(b"{}",)}
