"""The account and the judgement of one listed receipt, as values."""

import pytest

from dockd.domain.accounting import (
    Account,
    Count,
    Difference,
    FromBefore,
    Given,
    Kind,
    Known,
    Listed,
    account_of,
    cause_of,
    check,
    judge,
    read,
    store_of,
)
from dockd.domain.model import ClipId, ClipKey, ClipState, Sha256, StationId
from dockd.domain.outstanding import Outstanding
from dockd.domain.receipt import NO_LEAF, Claims, compact, signing_input

CLIP = ClipId("c" * 64)
STATION = StationId("north-1")
CLAIMS = Claims(
    clip_id=CLIP,
    aud=STATION,
    length_bytes=31,
    sha256=Sha256("5" * 64),
    meta_sha256=Sha256("6" * 64),
    stored_at="2026-03-04T05:06:07Z",
    store="central-1",
    leaf="7" * 64,
)
RECEIPT = compact(signing_input(kid="k", claims=CLAIMS), b"\x01" * 64)
LISTED = Listed(seq=4, clip_id=CLIP, receipt=RECEIPT, leaf="7" * 64, store="central-1", length_bytes=31)
OURS = Known(keys=(ClipKey(1),), holders=(ClipKey(1),), receipts=frozenset({RECEIPT}), leaf_known=True)


@pytest.mark.promise("I18")
def test_every_state_is_receipted_pending_or_quarantined() -> None:
    counts = {state: Count(files=1, bytes_=10) for state in ClipState}
    account = account_of(counts, seen=Count(files=7, bytes_=70))
    assert account == Account(
        seen=Count(files=7, bytes_=70),
        receipted=Count(files=3, bytes_=30),
        pending=Count(files=3, bytes_=30),
        quarantined=Count(files=1, bytes_=10),
    )
    assert account.adds_up


@pytest.mark.promise("I18")
@pytest.mark.parametrize(
    ("seen", "listed_files", "words"),
    [
        (2, None, None),
        (2, 2, None),
        (2, 1, None),
        (3, None, "seen 3 files of 20 bytes, but receipted 1 files of 10 bytes, pending 1 files of 10 bytes,"),
        (2, 3, "3 files were listed on the camera, and 2 are on record"),
    ],
)
def test_an_account_is_checked_by_itself(seen: int, listed_files: int | None, words: str | None) -> None:
    one = Count(files=1, bytes_=10)
    wrong = check(Account(seen=Count(files=seen, bytes_=20), receipted=one, pending=one), listed_files=listed_files)
    if words is None:
        assert wrong is None
    else:
        assert wrong is not None
        assert wrong.kind is Kind.MISCOUNTED
        assert wrong.detail.startswith(words)


def test_a_line_of_the_list_is_read() -> None:
    assert read(Given(seq=4, clip_id=CLIP, receipt=RECEIPT), station=STATION) == LISTED


@pytest.mark.parametrize(
    ("given", "station", "words"),
    [
        (Given(seq=4, clip_id=CLIP, receipt="x"), STATION, "not a receipt in canonical form: "),
        (Given(seq=4, clip_id=ClipId("d" * 64), receipt=RECEIPT), STATION, f"the receipt is for clip {CLIP}"),
        (Given(seq=4, clip_id=CLIP, receipt=RECEIPT), StationId("s"), "for station 'north-1', this is 's'"),
    ],
)
def test_a_line_that_cannot_be_is_read_with_its_flaw(given: Given, station: StationId, words: str) -> None:
    listed = read(given, station=station)
    assert words in listed.flaw
    verdict = judge(listed, OURS, rebuilding=True)
    assert isinstance(verdict, Difference)
    assert (verdict.kind, verdict.clip_id) == (Kind.OTHER_RECEIPT, given.clip_id)


@pytest.mark.promise("I18")
@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (OURS, None),
        (Known(keys=(ClipKey(1),), leaf_known=True), None),
        (Known(prior=True), None),
        (Known(keys=(ClipKey(1),), holders=(ClipKey(1),), receipts=frozenset({RECEIPT}), prior=True), None),
        (Known(), Kind.UNKNOWN_HERE),
        (Known(keys=(ClipKey(1),)), Kind.LEAF_UNKNOWN),
        (Known(keys=(ClipKey(1),), holders=(ClipKey(1),), receipts=frozenset({RECEIPT})), Kind.LEAF_UNKNOWN),
        (
            Known(keys=(ClipKey(1),), holders=(ClipKey(1),), receipts=frozenset({RECEIPT, "b"}), leaf_known=True),
            Kind.OTHER_RECEIPT,
        ),
    ],
    ids=["held", "not-yet-held", "prior", "prior-held", "stranger", "pending-set-back", "set-back", "other"],
)
def test_a_listed_receipt_is_judged_by_what_is_on_record(known: Known, kind: Kind | None) -> None:
    verdict = judge(LISTED, known, rebuilding=False)
    assert kind == (verdict.kind if isinstance(verdict, Difference) else verdict)


@pytest.mark.promise("I18")
def test_while_a_ledger_is_rebuilt_receipts_of_the_lost_chain_are_taken_over() -> None:
    assert judge(LISTED, Known(), rebuilding=True) == FromBefore()
    assert judge(LISTED, Known(keys=(ClipKey(1),)), rebuilding=True) == FromBefore()
    assert judge(LISTED, OURS, rebuilding=True) is None


def test_a_store_that_ignores_leaves_sets_nothing_back() -> None:
    listed = Listed(seq=4, clip_id=CLIP, receipt=RECEIPT, leaf=NO_LEAF)
    assert judge(listed, Known(keys=(ClipKey(1),)), rebuilding=False) is None


def test_what_was_not_met_is_left_in_order() -> None:
    outstanding = Outstanding()
    outstanding.add([ClipKey(key) for key in (40, 1, 7, 8, 9, 3)])
    outstanding.met([ClipKey(7), ClipKey(9), ClipKey(5000)])
    assert list(outstanding.left()) == [1, 3, 8, 40]
    assert list(Outstanding().left()) == []


def test_a_receipt_names_its_store() -> None:
    assert store_of(RECEIPT) == "central-1"
    assert store_of("x") is None


def test_words_with_other_figures_are_of_one_cause() -> None:
    one, other = (
        cause_of(f"the chain has {entries} entries and ends with {head * 64}, {entries}/90 before")
        for entries, head in ((8, "a"), (19, "9"))
    )
    assert one == other == "the chain has # entries and ends with #, #/# before"
    assert cause_of("you are wrong") == "you are wrong"
