"""What a profile read of a file is on record from its finding on, in both ledgers, and nothing ever changes it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.model import ClipKey, ClipKind, ClipState, Reading, Tag
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.rows import facts_in, facts_text
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import Reason
from tests.both_ledgers import entries, said
from tests.ledger_parts import (
    SIGNER,
    attached,
    bring,
    clips,
    docked,
    file,
    listing,
    reading,
    salvage_of,
    skip,
    tampered,
    threaded,
)

pytestmark = pytest.mark.promise("I18")

TWICE = reading(
    group=b"counter 1",
    marks="none",
    profile="dcf",
    recorded="2024-10-27T01:30:00",
    recorded_is="twice",
    recorded_utc="2024-10-27T00:30:00.000000Z 2024-10-27T01:30:00.000000Z",
    role="clip",
)
OTHERWISE = reading(group=b"counter 1", profile="dcf", recorded="2024-10-27T00:30:00", recorded_is="certain")
SIDECAR = reading(group=b"counter 1", sidecar=True, profile="dcf", role="sidecar")


async def test_what_a_profile_read_is_in_the_row_and_in_the_entry_of_its_finding(ledger: StationLedger) -> None:
    await docked(ledger, file("A1.MP4", reading=TWICE), file("B1.MP4"))
    read, unread = await clips(ledger, 1, 2)
    assert read.facts == TWICE.facts
    assert unread.facts == ()
    found, without = (said(entry) for entry in await entries(ledger) if entry["cause"] == "found")
    assert {name: fact for name, fact in found.items() if name.startswith("read_")} == {
        "read_marks": "none",
        "read_profile": "dcf",
        "read_recorded": "2024-10-27T01:30:00",
        "read_recorded_is": "twice",
        "read_recorded_utc": "2024-10-27T00:30:00.000000Z 2024-10-27T01:30:00.000000Z",
        "read_role": "clip",
    }
    assert not any(name.startswith("read_") for name in without)


@pytest.mark.parametrize("later", [OTHERWISE, None], ids=["changed", "gone"])
async def test_a_profile_that_is_changed_changes_nothing_of_a_file_that_was_found(
    ledger: StationLedger, later: Reading | None
) -> None:
    """Whatever becomes of the file: it is docked again, grows, is lost and copied again, and goes."""
    docking = await docked(ledger, file("A1.MP4", reading=TWICE), file("B1.MP4", reading=TWICE))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    await ledger.undock(docking, early=True, left_files=2)
    again = await docked(ledger, file("A1.MP4", reading=later), file("B1.MP4", length_bytes=101, reading=later), bay=2)
    await ledger.move(ClipKey(1), Move.SPOOL_LOST, Change(), actor="upload")
    await ledger.move(ClipKey(1), Move.HELD, Change(reason=Reason.HASH, detail="read otherwise"), actor="offload")
    for key in (1, 2):
        clip = await ledger.clip(ClipKey(key))
        if clip.state is ClipState.HELD:
            clip = await ledger.move(clip.key, Move.RECOPY, Change(docking=again), actor="offload")
        await bring(ledger, clip, ClipState.ERASED)
    grown, other = await clips(ledger, 2, 1)
    assert (grown.length_bytes, grown.facts, other.facts) == (101, TWICE.facts, TWICE.facts)


async def test_a_file_that_proves_to_be_another_is_read_anew_and_stays_in_its_recording(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A1.MP4", reading=TWICE))
    old = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.RECEIPTED)
    new = await ledger.supersede(old.key, file("A1.MP4", reading=OTHERWISE), docking=docking)
    assert new.facts == OTHERWISE.facts
    assert (await ledger.clip(old.key)).facts == TWICE.facts
    assert new.recording_id == old.recording_id


async def test_what_is_salvaged_of_a_file_has_the_facts_of_the_file(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A1.MP4", reading=TWICE))
    of = await ledger.clip(ClipKey(1))
    saved = await ledger.salvage(of.key, salvage_of(of), docking=docking)
    assert (saved.facts, saved.recording_id) == (TWICE.facts, of.recording_id)
    assert said((await entries(ledger))[-1])["read_recorded"] == "2024-10-27T01:30:00"


async def test_the_files_that_a_profile_holds_together_go_together(ledger: StationLedger) -> None:
    """Chapters of one recording have other stems: none goes while one of them has no receipt."""
    chapters = [file(f"GX0{number}0001.MP4", reading=TWICE) for number in (1, 2)]
    docking = await docked(ledger, *chapters, file("GX010001.THM", reading=SIDECAR))
    every = await clips(ledger, 1, 2, 3)
    assert len({clip.recording_id for clip in every}) == 1
    assert [clip.kind for clip in every] == [ClipKind.VIDEO, ClipKind.SIDECAR, ClipKind.VIDEO]
    for clip in every[:2]:
        await bring(ledger, clip, ClipState.RECEIPTED)
        (head,) = await ledger.heads([docking], skip=skip())
        assert head.erase is None
    await bring(ledger, every[2], ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase is not None


@pytest.mark.parametrize(("before", "after"), [(None, TWICE), (TWICE, None)], ids=["came", "went"])
async def test_a_profile_that_comes_or_goes_parts_no_recording(
    ledger: StationLedger, before: Reading | None, after: Reading | None
) -> None:
    first = file("A1.MP4", reading=before)
    await ledger.undock(await docked(ledger, first), early=True, left_files=1)
    sidecar = None if after is None else SIDECAR
    docking = await docked(ledger, file("A1.MP4", reading=after), file("A1.THM", reading=sidecar))
    clip, late = await clips(ledger, 1, 2)
    assert late.recording_id == clip.recording_id
    await bring(ledger, clip, ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert (head.copy, head.erase) == (late, None)


async def test_a_sidecar_of_a_profile_is_one_whatever_it_is_called(ledger: StationLedger) -> None:
    await docked(ledger, file("A1.3GF", reading=SIDECAR), file("A1.4GF"))
    known, unknown = await clips(ledger, 1, 2)
    assert (known.kind, known.tags) == (ClipKind.SIDECAR, frozenset())
    assert (unknown.kind, unknown.tags) == (ClipKind.OTHER, frozenset({Tag.UNKNOWN_TYPE}))


@pytest.mark.parametrize(
    "edit",
    [
        "facts = replace(facts, '01:30:00', '01:30:01')",
        "facts = replace(facts, 'twice', 'certain')",
        "facts = ''",
        "facts = '{}'",
        "facts = '[]'",
        "facts = '{\"recorded\":1}'",
        "facts = 'x'",
        "facts = replace(facts, '\":', '\": ')",
    ],
)
async def test_an_edited_fact_is_found_and_told(tmp_path: Path, edit: str) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A1.MP4", reading=TWICE))
        await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.RECEIPTED)
    assert verify_state(state, SIGNER.pinned().verify).clean
    tampered(state, f"UPDATE clips SET {edit}")  # noqa: S608 - ours
    faults = verify_state(state, SIGNER.pinned().verify).faults
    assert any(fault.startswith(("clip 1: facts is", "clip 1: holds what no clip can")) for fault in faults), faults


async def test_a_fact_that_is_put_beside_a_file_that_nobody_read_is_found(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A1.MP4"))
    tampered(state, """UPDATE clips SET facts = '{"marks":"evidence-button"}'""")
    (fault,) = verify_state(state, None).faults
    assert fault.startswith("clip 1: facts is (('marks', 'evidence-button'),), its custody entries say ()")


@pytest.mark.parametrize("facts", ["'{}'", "''", "NULL"])
async def test_the_database_itself_refuses_another_reading(tmp_path: Path, facts: str) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A1.MP4", reading=TWICE))
    with closing(sqlite3.connect(state / DATABASE)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="what was read of a file when it was found never changes"):
            connection.execute(f"UPDATE clips SET facts = {facts}")  # noqa: S608 - a column of the table
        connection.execute("UPDATE clips SET facts = facts, detail = 'x'")


async def test_a_reading_that_nobody_can_read_is_damage_and_the_ledger_begins_anew(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A1.MP4", reading=TWICE))
    tampered(state, "UPDATE clips SET facts = '{\"recorded\":'")
    async with await threaded(state) as ledger:
        docking = await ledger.dock(attached())
        await ledger.record_listing(docking, listing(file("A1.MP4", reading=OTHERWISE)))
        (clip,) = await clips(ledger, 1)
        assert clip.facts == OTHERWISE.facts
    assert (state / "set-aside-1" / DATABASE).is_file()
    assert verify_state(state, SIGNER.pinned().verify).clean


@pytest.mark.parametrize("text", ["{}", "null", "1", '{"a":1}', '{"a":"b" }', '{"b":"c","a":"b"}', "x"])
def test_only_what_was_written_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        facts_in(text)


def test_a_reading_is_read_as_it_was_written() -> None:
    assert facts_in(facts_text(TWICE.facts)) == TWICE.facts
    assert json.loads(facts_text(TWICE.facts))["recorded_is"] == "twice"
    assert facts_text(()) == ""
