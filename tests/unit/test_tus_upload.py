"""What the client core does after each answer of a store, as scripts of tests/tus_scripts.py: answers in, steps out."""

import pytest

from dockd.errors import InvariantError, Reason
from dockd.tus.upload import (
    TRANSITIONS,
    BodyRange,
    Done,
    Keep,
    Poll,
    Request,
    Response,
    Restarted,
    Send,
    Signal,
    State,
    Upload,
    Wait,
)
from tests.tus_scripts import ENDPOINT, TUS, URL, answer, new, run


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        # The plain way: the receipt is on the last answer.
        ("201 at:0 at:100!", "POST keep HEAD PATCH:0+100 done!"),
        # Full without a receipt: the offset is asked for again, then the receipt.
        ("201 at:0 at:100 at:100!", "POST keep HEAD PATCH:0+100 HEAD done!"),
        ("201 at:0 at:100 at:100 go at:100!", "POST keep HEAD PATCH:0+100 HEAD poll HEAD done!"),
        # The store has it already: from a lost 201, or another station.
        ("201 at:100!", "POST keep HEAD done!"),
        ("201 at:40 at:100!", "POST keep HEAD PATCH:40+60 done!"),
        # An advanced offset other than the one sent is progress.
        ("201 at:0 at:30 at:100!", "POST keep HEAD PATCH:0+100 PATCH:30+70 done!"),
    ],
)
def test_a_new_upload_is_created_kept_asked_after_and_sent(script: str, steps: str) -> None:
    assert run(new(), script) == steps


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("at:60 at:100!", "HEAD PATCH:60+40 done!"),
        ("at:100!", "HEAD done!"),
        ("404 go 201 at:0", "HEAD lost POST keep HEAD PATCH:0+100"),
        ("410 go 201 at:0", "HEAD lost POST keep HEAD PATCH:0+100"),
        ("cut go at:60", "HEAD wait:network HEAD PATCH:60+40"),
        ("401 go at:60", "HEAD wait:auth HEAD PATCH:60+40"),
        ("423 go at:60", "HEAD wait:store HEAD PATCH:60+40"),
        ("400", "HEAD refused:refused"),
        ("413", "HEAD refused:refused"),
        # More than there is: whatever that upload is, it is not ours.
        ("at:101 go", "HEAD lost POST"),
        ("portal go at:60", "HEAD wait:network HEAD PATCH:60+40"),
    ],
)
def test_an_upload_that_was_begun_goes_on_by_the_stores_offset(script: str, steps: str) -> None:
    assert run(new(url=URL), script) == steps


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("cut go", "wait:network POST"),
        ("400", "refused:refused"),
        ("409", "refused:refused"),
        ("413", "refused:refused"),
        ("415", "refused:refused"),
        ("401 go", "wait:auth POST"),
        ("403 go", "wait:auth POST"),
        ("407 go", "wait:auth POST"),
        ("404 go", "wait:store POST"),
        ("412 go", "wait:store POST"),
        ("423 go", "wait:store POST"),
        ("429/7 go", "wait:store/7 POST"),
        ("500 go", "wait:store POST"),
        ("503/30 go", "wait:store/30 POST"),
        ("507/30 go", "wait:store/30 POST"),
        ("511 go", "wait:network POST"),
        ("302 go", "wait:store POST"),
        ("200 go", "wait:store POST"),
        ("204 go", "wait:store POST"),
        ("portal go", "wait:network POST"),
    ],
)
def test_a_creation_that_fails_waits_or_holds(script: str, steps: str) -> None:
    assert run(new(), script) == f"POST {steps}"


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        # 42: a reset after n bytes; what arrived is asked for at once.
        ("cut at:70", "HEAD PATCH:70+30"),
        ("cut at:100!", "HEAD done!"),
        # ... and a try that gained nothing waits, once, with its own reason.
        ("cut at:0 go at:0", "HEAD wait:network HEAD PATCH:0+100"),
        ("cut cut go at:0", "HEAD wait:network HEAD PATCH:0+100"),
        ("cut cut go at:50 cut 503", "HEAD wait:network HEAD PATCH:50+50 HEAD wait:store+"),
        # 53: 409 adopts the store's offset; 460 sends again.
        ("409 at:70", "HEAD PATCH:70+30"),
        ("409 at:0 go at:0", "HEAD wait:store HEAD PATCH:0+100"),
        ("460 at:0 go at:0", "HEAD wait:store HEAD PATCH:0+100"),
        # 51: gone is a new upload; a store that loses one after another is given time.
        ("404 go 201 at:0", "lost POST keep HEAD PATCH:0+100"),
        ("410 go 201 404 go go", "lost POST keep HEAD lost wait:store POST"),
        # 52 and 54: the store's state, not the clip's fault.
        ("423 go at:0", "wait:store HEAD PATCH:0+100"),
        ("413/9 go at:0", "wait:store/9 HEAD PATCH:0+100"),
        ("429/9 go at:20", "wait:store/9 HEAD PATCH:20+80"),
        ("503 go at:0", "wait:store HEAD PATCH:0+100"),
        ("507/3 go at:0", "wait:store/3 HEAD PATCH:0+100"),
        ("401 go at:0", "wait:auth HEAD PATCH:0+100"),
        ("403 go at:0", "wait:auth HEAD PATCH:0+100"),
        ("307 go at:0", "wait:store HEAD PATCH:0+100"),
        ("portal go at:0", "wait:network HEAD PATCH:0+100"),
        ("400", "refused:refused"),
        ("415", "refused:refused"),
        # 49: an offset beyond the end is never believed.
        ("at:101 go", "lost POST"),
        # An answer that moved nothing, or back, is no progress: HEAD decides.
        ("at:0 at:0 go", "HEAD wait:store HEAD"),
        ("at:0 at:10", "HEAD PATCH:10+90"),
    ],
)
def test_every_answer_to_a_body_has_its_step(script: str, steps: str) -> None:
    assert run(new(), f"201 at:0 {script}") == f"POST keep HEAD PATCH:0+100 {steps}"


@pytest.mark.promise("I1")
@pytest.mark.parametrize("status", ["200", "204", "302", "400", "401", "403", "404", "409", "423", "500"])
def test_no_answer_without_a_full_offset_is_done(status: str) -> None:
    """I1: neither a portal's page, nor a refusal, nor a success without its headers counts as uploaded."""
    for script in ("", "201 ", "201 at:0 ", "201 at:0 cut "):
        assert "done" not in run(new(), script + status)


def test_a_204_whose_bytes_are_lost_is_sent_again_and_counted() -> None:
    """56: 204 for everything, then HEAD says otherwise."""
    upload = new()
    assert run(upload, "201 at:0 at:100 at:40") == "POST keep HEAD PATCH:0+100 HEAD wait:store"
    assert (upload.offset_bytes, upload.regressions) == (40, 1)
    assert run(upload, "go at:40 at:100 at:0") == "wait:store HEAD PATCH:40+60 HEAD wait:store"
    assert (upload.offset_bytes, upload.regressions) == (0, 2)


def test_an_offset_that_goes_back_is_believed_and_counted() -> None:
    """50: the store is right about what it has, and we wait before giving it more."""
    upload = new(url=URL)
    assert run(upload, "at:60 503 go at:20 go at:20") == "HEAD PATCH:60+40 wait:store HEAD wait:store HEAD PATCH:20+80"
    assert (upload.offset_bytes, upload.regressions, upload.restarts) == (20, 1, 0)
    wait = "the store had 60 bytes and now has 20"
    upload = new(url=URL)
    run(upload, "at:60 503 go at:20")
    assert upload.next() == Wait(reason=Reason.STORE, detail=wait, retry_after_s=None, progressed=False)


def test_a_receipt_given_before_bytes_were_lost_is_forgotten() -> None:
    upload = new()
    run(upload, "201 at:0 at:50! cut at:10 go at:10 at:100")
    assert run(upload, "at:100") == "HEAD poll"


def test_progress_is_more_bytes_at_the_store_than_at_the_last_wait() -> None:
    upload = new(url=URL)
    assert run(upload, "at:50 cut at:50") == "HEAD PATCH:50+50 HEAD wait:network"
    assert run(upload, "go at:50 cut at:70 503") == "wait:network HEAD PATCH:50+50 HEAD PATCH:70+30 wait:store+"
    assert run(upload, "go at:70 503") == "wait:store+ HEAD PATCH:70+30 wait:store"


def test_lost_uploads_are_counted_and_everything_known_of_them_is_void() -> None:
    upload = new(url=URL)
    run(upload, "at:60 404")
    assert (upload.url, upload.offset_bytes, upload.restarts, upload.state) == (None, 0, 1, State.LOST)
    assert upload.next() == Restarted(detail="PATCH answered 404: No.")


def test_an_empty_file_needs_no_body() -> None:
    upload = new(length_bytes=0)
    assert run(upload, "201 at:0 go at:0!", length_bytes=0) == "POST keep HEAD poll HEAD done!"


def test_a_receipt_on_the_201_of_an_empty_file_counts_once_the_offset_is_confirmed() -> None:
    """A hook's headers come on this answer and on no HEAD."""
    upload = new(length_bytes=0)
    upload.receive(Response(status=201, headers={**TUS, "location": "/files/u1", "clip-receipt": "e.y.z"}))
    assert upload.next() == Keep(url=URL)
    upload.kept()
    upload.receive(answer("at:0", length_bytes=0))
    assert upload.next() == Done(receipt="e.y.z", repr_digest=None, stored_metadata=None)


def test_after_three_polls_every_other_one_asks_the_hook_again_by_an_empty_body() -> None:
    upload = new(url=URL)
    steps = run(upload, "at:100 go at:100 go at:100 go at:100 go at:100 go at:100 go at:100!")
    assert steps == "HEAD poll HEAD poll HEAD poll HEAD poll PATCH poll HEAD poll PATCH done!"
    upload = new(url=URL)
    run(upload, "at:100 go at:100 go at:100 go at:100 go")
    nudge = upload.next()
    assert isinstance(nudge, Send)
    assert ("Upload-Offset", "100") in nudge.request.headers
    assert nudge.request.body is None


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("400", "poll HEAD"),
        ("403 go", "wait:auth HEAD HEAD"),
        ("404", "poll HEAD"),
        ("409", "poll HEAD"),
        ("413", "wait:store HEAD"),
        ("415", "poll HEAD"),
        ("429/5", "wait:store/5 HEAD"),
        ("503", "wait:store HEAD"),
        ("cut", "wait:network HEAD"),
        ("portal", "wait:network HEAD"),
        ("at:40!", "poll HEAD"),
        ("at:101", "poll HEAD"),
        ("at:100", "poll HEAD"),
    ],
)
def test_a_store_that_refuses_the_empty_body_does_no_harm(script: str, steps: str) -> None:
    upload = new(url=URL)
    assert run(upload, "at:100 go at:100 go at:100 go at:100 go").endswith("poll PATCH")
    script = script.removesuffix(" go")
    assert (
        run(upload, f"{script} go") == f"PATCH {steps.removesuffix(' HEAD') if steps.endswith('HEAD HEAD') else steps}"
    )


def test_without_a_receipt_the_driver_may_settle_for_the_stores_word() -> None:
    upload = new(url=URL)
    upload.receive(
        Response(
            status=200,
            headers={
                **TUS,
                "upload-offset": "100",
                "upload-length": "100",
                "upload-metadata": "clip_id YWJj",
                "repr-digest": "sha-256=:AAAA:",
            },
        )
    )
    detail = "the store has all 100 bytes and is verifying: no receipt yet"
    assert upload.next() == Poll(detail=detail)
    upload.settle()
    assert upload.next() == Done(receipt=None, repr_digest="sha-256=:AAAA:", stored_metadata="clip_id YWJj")


def test_requests_carry_the_version_the_facts_and_the_extra_headers() -> None:
    extra = (("Custody-Leaf", "ab" * 32),)
    upload = Upload(endpoint=ENDPOINT, length_bytes=7, metadata_header="clip_id YWJj", extra_headers=extra)
    assert upload.next() == Send(
        request=Request(
            method="POST",
            url=ENDPOINT,
            headers=(("Tus-Resumable", "1.0.0"), ("Upload-Length", "7"), ("Upload-Metadata", "clip_id YWJj"), *extra),
        )
    )
    upload.receive(answer("201"))
    upload.kept()
    assert upload.next() == Send(request=Request(method="HEAD", url=URL, headers=(("Tus-Resumable", "1.0.0"),)))
    upload.receive(answer("at:3", length_bytes=7))
    assert upload.next() == Send(
        request=Request(
            method="PATCH",
            url=URL,
            headers=(
                ("Tus-Resumable", "1.0.0"),
                ("Content-Type", "application/offset+octet-stream"),
                ("Upload-Offset", "3"),
                *extra,
            ),
            body=BodyRange(offset_bytes=3, length_bytes=4),
        )
    )


def test_an_upload_without_metadata_sends_no_such_header() -> None:
    upload = Upload(endpoint=ENDPOINT, length_bytes=7, metadata_header="")
    post = upload.next()
    assert isinstance(post, Send)
    assert post.request.headers == (("Tus-Resumable", "1.0.0"), ("Upload-Length", "7"))


@pytest.mark.parametrize("state_script", ["201 at:0 at:100!", "400", "503"])
def test_an_answer_that_was_not_asked_for_is_an_error(state_script: str) -> None:
    upload = new()
    run(upload, state_script)
    with pytest.raises(InvariantError, match="expected none, nothing was asked"):
        upload.receive(answer("at:0"))
    with pytest.raises(InvariantError, match="expected none, nothing was asked"):
        upload.broken(reason=Reason.NETWORK, detail="reset")


def test_an_outcome_that_does_not_fit_is_an_error_and_names_what_would() -> None:
    upload = new()
    with pytest.raises(
        InvariantError, match="upload in state create was told settled: expected back-off, created, rej"
    ):
        upload.settle()
    with pytest.raises(InvariantError, match="upload in state create was told resumed"):
        upload.resume()
    with pytest.raises(InvariantError, match="upload in state create has no URL yet"):
        upload.kept()
    run(upload, "400")
    with pytest.raises(InvariantError, match="upload in state refused was told resumed: expected nothing"):
        upload.resume()


def test_next_only_looks() -> None:
    upload = new()
    assert upload.next() == upload.next()
    assert upload.state is State.CREATE


def test_every_state_is_reached_and_every_signal_is_used() -> None:
    reached = {State.CREATE, *TRANSITIONS.values()}
    assert reached == set(State)
    assert {signal for _, signal in TRANSITIONS} == set(Signal)
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.DONE, State.REFUSED}
