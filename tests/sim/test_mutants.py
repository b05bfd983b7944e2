"""Planted faults of the app: a simulation that never fails proves nothing, so each of these must make it fail."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

import dockd.app.bay
import dockd.app.erase
import dockd.app.offload
import dockd.app.stay
import dockd.app.uplink
import dockd.app.upload
import tests.sim.cameras
from dockd.app.clearing import Clearing
from dockd.app.ports import Ledger, ReadAgain
from dockd.app.stay import Stay
from dockd.app.upload import FINISHED, Bringing, Ending, Outcome as Ended
from dockd.domain.bay import Tally, Work, work_of
from dockd.domain.clip import Change, Move
from dockd.domain.custody import Entry, Link
from dockd.domain.erasure import ErasePermit, Refusal
from dockd.domain.listing import listing_of
from dockd.domain.model import Assurance, Clip, ClipKey, ClipState, ListedFile, Listing, Sha256
from dockd.domain.receipt import Claims, Expected, Flaw, ReceiptError, check_claims, parse_receipt
from dockd.edges.ledger.core import _INSERT_LINK, LedgerCore
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import CameraGoneError, ListingError, Reason
from dockd.tus.upload import Upload, Wait
from tests.sim.cameras import SimCard
from tests.sim.fate import Fault
from tests.sim.receipts import SimKeys
from tests.sim.script import run as run_script
from tests.sim.shift import run

MOST_SEEDS = 150
FOCUS = {
    Flaw.DIGEST: Fault.WRONG_DIGEST,
    Flaw.LENGTH: Fault.WRONG_LENGTH,
    Flaw.CLIP: Fault.WRONG_CLIP,
    Flaw.AUDIENCE: Fault.WRONG_STATION,
    Flaw.METADATA: Fault.WRONG_METADATA,
}
"""The fault that an unchecked claim lets through."""


def caught(*kinds: Fault, claims_early: bool = False) -> str:
    """Run seeds until one fails, with these faults or with those that each seed chooses; say how."""
    only = frozenset(kinds) or None
    errors = (run(seed, only=only, claims_early=claims_early).error for seed in range(MOST_SEEDS))
    return next(filter(None, errors), "")


def test_what_the_mutants_are_caught_by_finds_nothing_without_them() -> None:
    assert [run(seed, only=frozenset(FOCUS.values())).error for seed in range(10)] == [""] * 10


@pytest.mark.promise("I1")
def test_a_gate_that_always_permits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def permit(*, clip: Clip, **_known: object) -> ErasePermit:
        assert clip.sha256 is not None
        return ErasePermit(
            clip=clip.key, docking=clip.docking, path=clip.path, length_bytes=clip.length_bytes, sha256=clip.sha256
        )

    monkeypatch.setattr(dockd.app.erase, "may_erase", permit)
    assert caught(Fault.CACHED).startswith("ViolationError: I")


@pytest.mark.promise("I1")
@pytest.mark.parametrize("flaw", FOCUS)
def test_a_receipt_whose_claim_is_not_checked_is_caught(monkeypatch: pytest.MonkeyPatch, flaw: Flaw) -> None:
    def unchecked(claims: Claims, expected: Expected) -> None:
        try:
            check_claims(claims, expected)
        except ReceiptError as error:
            if error.flaw is not flaw:
                raise

    monkeypatch.setattr(dockd.app.upload, "check_claims", unchecked)
    assert "I1" in caught(FOCUS[flaw])


@pytest.mark.promise("I1")
def test_a_signature_that_is_not_checked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimKeys, "verify", lambda _keys, compact: parse_receipt(compact))
    assert "I1" in caught(Fault.FORGED)


@pytest.mark.promise("I3")
def test_an_erasure_without_a_re_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockd.app.erase, "read_again", _believe)
    assert "I3" in caught()


@pytest.mark.promise("I3")
def test_a_candidate_that_is_believed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockd.app.offload, "read_again", _believe)
    assert "was not read in this stay" in caught()


async def _believe(clip: Clip, _stay: Stay) -> ReadAgain:
    assert clip.sha256 is not None
    return ReadAgain(sha256=clip.sha256, length_bytes=clip.length_bytes, uncached=True)


@pytest.mark.promise("I6")
def test_a_lamp_that_says_go_before_its_card_is_let_go_of_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Clearing._end

    async def hasty(clearing: Clearing, stay: Stay) -> None:
        stay.watch.erasing(stay.docking, opened=False)
        await end(clearing, stay)

    monkeypatch.setattr(Clearing, "_end", hasty)
    assert "I6" in caught()


@pytest.mark.promise("I6")
def test_a_card_that_nobody_lets_go_of_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(_card: SimCard) -> None:
        """Leave it as it is."""

    monkeypatch.setattr(SimCard, "rest", forget)
    assert "I6" in caught()


@pytest.mark.promise("I7")
def test_a_listing_error_taken_for_an_empty_card_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stay.list_card

    async def forgiving(stay: Stay, *, ledger: Ledger) -> None:
        try:
            await whole(stay, ledger=ledger)
        except ListingError:
            await ledger.record_listing(stay.docking, listing_of([]))

    monkeypatch.setattr(Stay, "list_card", forgiving)
    assert caught(Fault.LISTING_ERROR).startswith("ViolationError: I")


@pytest.mark.promise("I7")
def test_two_equal_names_that_are_ignored_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(files: Iterable[ListedFile]) -> Listing:
        return Listing(files=tuple(sorted(files, key=lambda file: file.path)), sha256=Sha256("0" * 64))

    monkeypatch.setattr(tests.sim.cameras, "listing_of", careless)
    assert caught(Fault.DUPLICATE_NAME).startswith(("ViolationError: I7", "ViolationError: I18"))


@pytest.mark.promise("I10")
def test_a_card_that_is_believed_beside_its_twin_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stay.list_card

    async def careless(stay: Stay, *, ledger: Ledger) -> None:
        stay._alone = lambda: True
        await whole(stay, ledger=ledger)

    monkeypatch.setattr(Stay, "list_card", careless)
    assert caught(Fault.TWIN, Fault.HUB, Fault.RESET_LOOP, Fault.OPEN_FAILS).startswith("ViolationError: I10")


@pytest.mark.promise("I11")
@pytest.mark.promise("I18")
def test_a_custody_entry_outside_its_transaction_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    late = list[tuple[object, ...]]()

    def one_transaction_late(core: LedgerCore, entry: Entry) -> Link:
        link = core._next(entry)
        late.append((link.seq, link.prev, link.hash, link.body, entry.clip))
        kept = 0 if entry.clip is None else 1
        while len(late) > kept:
            core.connection.execute(_INSERT_LINK, late.pop(0))
        return link

    monkeypatch.setattr(LedgerCore, "_append", one_transaction_late)
    assert "I11" in caught(Fault.POWER_CUT)


@pytest.mark.promise("I12")
def test_a_copy_given_up_for_want_of_room_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    next_reclaim = StationLedger.next_reclaim

    async def oldest(
        ledger: StationLedger, *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
    ) -> Clip | None:
        clip = await next_reclaim(ledger, receipted_before_utc=receipted_before_utc, copying=copying, skip=skip)
        return clip or await ledger.next_upload(skip=frozenset(), wanted=Assurance.ACCEPTED)

    monkeypatch.setattr(StationLedger, "next_reclaim", oldest)
    assert "I12" in caught(Fault.DISK_FULL)


@pytest.mark.promise("I17")
def test_a_back_off_of_minutes_for_a_single_clip_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockd.app.uplink, "patience_s", lambda _clips: 300.0)
    errors = (run_script(seed).error for seed in range(MOST_SEEDS))
    assert "I17" in next(filter(None, errors), "")


@pytest.mark.promise("I8")
def test_a_copy_claimed_before_it_is_synced_is_caught() -> None:
    assert "I8" in caught(claims_early=True)


@pytest.mark.promise("I8")
def test_an_unanswered_upload_that_counts_as_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = Bringing._waited

    async def hopeful(bringing: Bringing, upload: Upload, wait: Wait) -> Ended:
        if wait.reason is not Reason.AUTH or upload.url is None:
            return await waited(bringing, upload, wait)
        if bringing.clip.state is ClipState.COPIED:
            await bringing._move(Move.SENT, Change(assurance=Assurance.ACCEPTED))
        return FINISHED

    monkeypatch.setattr(Bringing, "_waited", hopeful)
    assert caught(Fault.AUTH).startswith("ViolationError: I")


@pytest.mark.promise("I17")
def test_a_lost_upload_that_is_ignored_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(_bringing: Bringing, _upload: Upload, _detail: str) -> Ended | None:
        return Ended(ending=Ending.FAILED, reason=Reason.STORE)

    monkeypatch.setattr(Bringing, "_restarted", ignore)
    assert "I17" in caught(Fault.GONE)


@pytest.mark.promise("I11")
def test_an_unlink_on_a_camera_that_is_gone_taken_for_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = dockd.app.erase._unlink

    async def inferred(clip: Clip, stay: Stay, permit: ErasePermit, *, ledger: Ledger) -> Refusal | None:
        try:
            return await unlink(clip, stay, permit, ledger=ledger)
        except CameraGoneError:
            await ledger.move(clip.key, Move.ERASED, Change(), actor="erase")
            return None

    monkeypatch.setattr(dockd.app.erase, "_unlink", inferred)
    assert "I11" in caught(Fault.PULL_IN_ERASE)


@pytest.mark.promise("I8")
def test_a_lamp_that_counts_uploaded_clips_as_receipted_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeful(tally: Tally) -> Work:
        return replace(work_of(tally), unreceipted_files=0)

    monkeypatch.setattr(dockd.app.bay, "work_of", hopeful)
    assert "I8" in caught()
