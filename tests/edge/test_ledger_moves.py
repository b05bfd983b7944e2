"""The port's contract for the moves of a clip, held by both ledgers: which are lawful, and what they say."""

from dataclasses import replace

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.model import Assurance, ClipKey, ClipState, DockingId, Tag
from dockd.edges.ledger import views
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import InvariantError, Reason, StaleMoveError
from tests.both_ledgers import entries, said
from tests.ledger_parts import attached, bring, clips, copied, docked, file, listing, skip, url_of


async def test_a_move_gives_the_clip_as_it_is_stored(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    for state in (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED):
        clip = await bring(ledger, clip, state)
        assert clip.state is state
        assert await clips(ledger, 1) == [clip]


async def test_each_move_says_what_matters(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), bay=5)
    (clip,) = await clips(ledger, 1)
    erased = await bring(ledger, clip, ClipState.ERASED)
    told = [(entry["cause"], entry["from"], entry["to"], said(entry)) for entry in await entries(ledger)][3:]
    assert [line[:3] for line in told] == [
        ("found", "", "found"),
        ("copied", "found", "copied"),
        ("opened", "copied", "copied"),
        ("sent", "copied", "uploaded"),
        ("receipted", "uploaded", "receipted"),
        ("erase-begun", "receipted", "erasing"),
        ("erased", "erasing", "erased"),
    ]
    facts = [line[3] for line in told]
    assert facts[1] == {"sha256": erased.sha256}
    assert facts[2] == {"url": url_of(erased)}
    assert facts[3] == {"assurance": "accepted"}
    assert isinstance(facts[4], dict)
    assert facts[4].keys() == {"assurance", "kid", "meta_sha256", "receipt_sha256"}
    assert facts[5] == facts[6] == {"sha256": erased.sha256}
    last = (await entries(ledger))[-1]
    assert (last["bay"], last["camera"], last["actor"], last["clip_id"]) == (5, "CAM0001", "erase", erased.clip_id)


async def test_a_hold_says_why_in_the_row_and_in_the_chain(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    held = await ledger.move(
        ClipKey(1),
        Move.HELD,
        Change(reason=Reason.UNREADABLE, detail="block 7 of \udcff.MP4", facts={"try": "3"}),
        actor="offload",
    )
    assert (held.state, held.reason, held.detail) == (ClipState.HELD, Reason.UNREADABLE, "block 7 of \\udcff.MP4")
    assert await clips(ledger, 1) == [held]
    facts = said((await entries(ledger))[-1])
    assert facts == {"reason": "unreadable", "detail": "block 7 of \\udcff.MP4", "try": "3"}


@pytest.mark.promise("I11")
async def test_an_unlawful_move_writes_nothing(ledger: StationLedger) -> None:
    """I11."""
    await docked(ledger, file("A.MP4"))
    before = (await clips(ledger, 1), await entries(ledger))
    with pytest.raises(StaleMoveError, match=r"clip 1.*move erased is not lawful, expected one of copied"):
        await ledger.move(ClipKey(1), Move.ERASED, Change(), actor="erase")
    assert (await clips(ledger, 1), await entries(ledger)) == before


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    "change",
    [
        Change(assurance=Assurance.SIGNED),
        Change(receipt="a.b.c", assurance=Assurance.SIGNED),
        Change(receipt="a.b.c", meta_sha256=None, assurance=Assurance.READBACK),
    ],
)
async def test_no_clip_counts_as_receipted_without_a_signed_receipt(ledger: StationLedger, change: Change) -> None:
    """I1: the schema itself refuses."""
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    uploaded = await bring(ledger, clip, ClipState.UPLOADED)
    with pytest.raises(InvariantError, match="CHECK"):
        await ledger.move(clip.key, Move.RECEIPTED, change, actor="upload")
    assert await clips(ledger, 1) == [uploaded]


async def test_a_clip_nobody_knows_is_said_so(ledger: StationLedger) -> None:
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.clip(ClipKey(9))
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.move(ClipKey(9), Move.COPIED, Change(), actor="offload")
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.annotate(ClipKey(9), Change())
    with pytest.raises(InvariantError, match="clip 9 has no custody entry"):
        await ledger.leaf(ClipKey(9))
    with pytest.raises(InvariantError, match="docking 9 is not in the ledger"):
        await ledger.record_listing(DockingId(9), listing())


@pytest.mark.promise("I10")
async def test_a_camera_docked_again_brings_no_second_row(ledger: StationLedger) -> None:
    """I10."""
    first = await docked(ledger, file("A.MP4"), file("B.MP4"))
    (clip, _) = await clips(ledger, 1, 2)
    await bring(ledger, clip, ClipState.COPIED)
    await ledger.undock(first, early=True, left_files=1)
    second = await docked(ledger, file("A.MP4"), file("B.MP4"), file("C.MP4"), bay=2)
    known, still_found, new = await clips(ledger, 1, 2, 3)
    assert [clip.docking for clip in (known, still_found, new)] == [second, second, second]
    assert (known.state, known.verified_in) == (ClipState.COPIED, None)
    assert (still_found.state, new.state) == (ClipState.FOUND, ClipState.FOUND)
    moved = [(entry["cause"], entry["clip"], entry["bay"]) for entry in await entries(ledger)][-3:]
    assert moved == [("redocked", 1, 2), ("redocked", 2, 2), ("found", 3, 2)]


async def test_a_move_into_another_docking_is_filed_under_its_bay(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), bay=1)
    later = await ledger.dock(attached(bay=6))
    moved = await ledger.move(ClipKey(1), Move.REDOCKED, Change(docking=later), actor="offload")
    assert moved.docking == later
    assert (await entries(ledger))[-1]["bay"] == 6
    with pytest.raises(InvariantError, match="docking 9 is not in the ledger"):
        await ledger.move(ClipKey(1), Move.REDOCKED, Change(docking=DockingId(9)), actor="offload")


async def test_a_clip_that_was_docked_again_since_is_not_superseded(ledger: StationLedger) -> None:
    first = await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    await docked(ledger, file("A.MP4"))
    before = await entries(ledger)
    with pytest.raises(StaleMoveError, match="docking 1 was asked for, it was listed in 2 since"):
        await ledger.supersede(ClipKey(1), file("A.MP4"), docking=first)
    assert await entries(ledger) == before


async def test_a_mark_and_a_tag_that_come_later_are_kept(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    await docked(ledger, file("A.MP4", urgent=True))
    clip = await ledger.clip(ClipKey(1))
    assert clip.urgent
    tags = frozenset({Tag.HEADER_MISSING, Tag.UNKNOWN_TYPE})
    moved = await ledger.move(clip.key, Move.COPIED, replace(copied(clip), tags=tags), actor="offload")
    assert moved.tags == tags
    assert await ledger.clip(ClipKey(1)) == moved


async def test_an_erased_file_that_comes_back_is_a_new_clip(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    erased = await bring(ledger, clip, ClipState.ERASED)
    await docked(ledger, file("A.MP4"))
    again = await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)
    assert (again.key, again.clip_id) == (2, erased.clip_id)
    assert erased.clip_id is not None
    assert await ledger.query(views.clips_named(erased.clip_id)) == (erased, again)


async def test_a_superseded_clip_leaves_the_dockings_work_but_not_the_stations_accounts(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    old = await bring(ledger, clip, ClipState.COPIED)
    docking = await docked(ledger, file("A.MP4"))
    new = await ledger.supersede(old.key, file("A.MP4"), docking=docking)
    assert (new.key, new.state, new.docking) == (2, ClipState.FOUND, docking)
    (head,) = await ledger.heads([docking], skip=skip())
    assert (head.copy, head.confirm, head.erase) == (new, None, None)
    tally = await ledger.tally(docking)
    assert (tally.files, tally.unconfirmed_files) == ({ClipState.FOUND: 1}, 0)
    assert (await ledger.backlog()).files == {ClipState.FOUND: 1, ClipState.COPIED: 1}
    sent = await ledger.next_upload(skip=skip(), wanted=Assurance.SIGNED)
    assert sent is not None
    assert sent.key == old.key
    causes = [(entry["cause"], entry["clip"], entry["from"], entry["to"]) for entry in await entries(ledger)][-2:]
    assert causes == [("found", 2, "", "found"), ("superseded", 1, "copied", "copied")]


async def test_a_superseded_clip_is_never_copied_from_the_file_that_took_its_name(ledger: StationLedger) -> None:
    """Its spool copy is lost, too: then it is missing, and the next listing says so."""
    await docked(ledger, file("A.MP4"))
    old = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    docking = await docked(ledger, file("A.MP4"))
    new = await ledger.supersede(old.key, file("A.MP4"), docking=docking)
    await ledger.move(old.key, Move.SPOOL_LOST, Change(), actor="upload")
    (head,) = await ledger.heads([docking], skip=skip(new.key))
    assert (head.copy, head.uncopied_bytes) == (None, 100)
    await docked(ledger, file("A.MP4"))
    old = await ledger.clip(old.key)
    assert (old.state, old.reason) == (ClipState.HELD, Reason.MISSING)


async def test_what_a_clip_waits_for_is_no_custody(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    before = await entries(ledger)
    await ledger.annotate(ClipKey(1), Change(reason=Reason.DNS, detail="store.example"))
    (clip,) = await clips(ledger, 1)
    assert (clip.state, clip.reason, clip.detail) == (ClipState.FOUND, Reason.DNS, "store.example")
    moved = await ledger.move(ClipKey(1), Move.COPIED, copied(clip), actor="offload")
    assert (moved.reason, moved.detail) == (None, "")
    assert (await entries(ledger))[:-1] == before
