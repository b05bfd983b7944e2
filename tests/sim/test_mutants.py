"""Planted faults of the app: a simulation that never fails proves nothing, so each of these must make it fail."""

from dataclasses import replace

import pytest

import dockd.app.bay
import dockd.app.erase
import dockd.app.offload
import dockd.app.stay
import dockd.app.upload
from dockd.app.ports import Ledger, ReadAgain
from dockd.app.stay import Stay
from dockd.app.upload import FINISHED, Bringing, Ending, Outcome as Ended
from dockd.domain.bay import Tally, Work, work_of
from dockd.domain.clip import Change, Move
from dockd.domain.erasure import ErasePermit, Refusal
from dockd.domain.listing import listing_of
from dockd.domain.model import Assurance, Clip, ClipState
from dockd.domain.receipt import Claims, Expected, Flaw, ReceiptError, check_claims, parse_receipt
from dockd.errors import CameraGoneError, ListingError, Reason
from dockd.tus.upload import Upload, Wait
from tests.sim.receipts import SimKeys
from tests.sim.shift import run

MOST_SEEDS = 150


def caught(**known: bool) -> str:
    """Run seeds until one fails; say how."""
    errors = (run(seed, **known).error for seed in range(MOST_SEEDS))
    return next(filter(None, errors), "")


@pytest.mark.promise("I1")
def test_a_gate_that_always_permits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def permit(*, clip: Clip, **_known: object) -> ErasePermit:
        assert clip.sha256 is not None
        return ErasePermit(
            clip=clip.key, docking=clip.docking, path=clip.path, length_bytes=clip.length_bytes, sha256=clip.sha256
        )

    monkeypatch.setattr(dockd.app.erase, "may_erase", permit)
    assert caught().startswith("ViolationError: I")


@pytest.mark.promise("I1")
@pytest.mark.parametrize("flaw", [Flaw.DIGEST, Flaw.CLIP, Flaw.AUDIENCE, Flaw.METADATA])
def test_a_receipt_whose_claim_is_not_checked_is_caught(monkeypatch: pytest.MonkeyPatch, flaw: Flaw) -> None:
    def unchecked(claims: Claims, expected: Expected) -> None:
        try:
            check_claims(claims, expected)
        except ReceiptError as error:
            if error.flaw is not flaw:
                raise

    monkeypatch.setattr(dockd.app.upload, "check_claims", unchecked)
    assert "I1" in caught()


@pytest.mark.promise("I1")
def test_a_signature_that_is_not_checked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimKeys, "verify", lambda _keys, compact: parse_receipt(compact))
    assert "I1" in caught()


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


@pytest.mark.promise("I7")
def test_a_listing_error_taken_for_an_empty_card_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stay.list_card

    async def forgiving(stay: Stay, *, ledger: Ledger) -> None:
        try:
            await whole(stay, ledger=ledger)
        except ListingError:
            await ledger.record_listing(stay.docking, listing_of([]))

    monkeypatch.setattr(Stay, "list_card", forgiving)
    assert caught().startswith("ViolationError: I")


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
    assert caught().startswith("ViolationError: I")


@pytest.mark.promise("I17")
def test_a_lost_upload_that_is_ignored_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(_bringing: Bringing, _upload: Upload, _detail: str) -> Ended | None:
        return Ended(ending=Ending.FAILED, reason=Reason.STORE)

    monkeypatch.setattr(Bringing, "_restarted", ignore)
    assert "I17" in caught()


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
    assert "I11" in caught()


@pytest.mark.promise("I8")
def test_a_lamp_that_counts_uploaded_clips_as_receipted_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeful(tally: Tally) -> Work:
        return replace(work_of(tally), unreceipted_files=0)

    monkeypatch.setattr(dockd.app.bay, "work_of", hopeful)
    assert "I8" in caught()
