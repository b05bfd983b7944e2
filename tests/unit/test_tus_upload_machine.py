"""The client core against a small model of a store that loses bytes, uploads and answers, and says what it likes.

Whatever it does, the core never says Done unless the store's last word was the full length, shows no receipt that was
taken back by lost bytes, never asks to send from another offset than the store's last word, never asks without end
without a pause, and comes to its end once the store behaves. A process that dies goes on with what it kept.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dockd.errors import InvariantError, Reason
from dockd.tus.answer import Proof
from dockd.tus.headers import HeaderError
from dockd.tus.upload import Action, Done, Keep, Poll, Refused, Request, Response, Restarted, Send, State, Upload, Wait

ENDPOINT = "http://127.0.0.1:1080/files/"
TUS = {"tus-resumable": "1.0.0"}
ODD_STATUSES = [
    *(200, 201, 204, 301, 307, 401, 403, 404, 409, 410, 412, 413, 423),
    *(425, 429, 460, 500, 502, 503, 504, 507, 511, 599),
]
STEPS_TO_THE_END = 32
"""More than a core needs against a store that behaves: creation, HEAD, PATCH, polls, and what it waits for before."""
MOST_QUESTIONS = 3
"""Requests in a row of which none brought anything, before there must be a pause."""


class Habits(NamedTuple):
    """What kind of store it is."""

    finds_again: bool
    """A second POST of the same clip leads to the upload that there is, as ours does."""
    verifies_looks: int
    """So many looks at a whole upload until it is verified and has its receipt."""
    by_hook: bool
    """The receipt comes with a PATCH alone, the empty one included, as from a server whose hook gives it."""


class Store:
    """A store's truth: uploads by URL with the bytes each has; gives a receipt once it has them all."""

    def __init__(self, length_bytes: int, habits: Habits) -> None:
        self.length_bytes = length_bytes
        self.habits = habits
        self.uploads: dict[str, int] = {}
        self.looks: dict[str, int] = {}
        self.created = 0
        self.losses = 0

    def perform(self, request: Request, *, arriving_bytes: int | None = None) -> Response:
        """Answer as tus 1.0.0 says; of a body only the first `arriving_bytes` arrive."""
        if request.method == "POST":
            return self.create()
        if request.url not in self.uploads:
            return Response(status=404, headers=TUS)
        if request.method == "PATCH":
            if dict(request.headers)["Upload-Offset"] != str(self.uploads[request.url]):
                return Response(status=409, headers=TUS)
            sent_bytes = request.body.length_bytes if request.body else 0
            self.uploads[request.url] += sent_bytes if arriving_bytes is None else min(sent_bytes, arriving_bytes)
        return self.status(request.url, patched=request.method == "PATCH")

    def create(self) -> Response:
        """Make an upload, or find the one that there is."""
        if self.habits.finds_again and self.uploads:
            url = min(self.uploads)
        else:
            self.created += 1
            url = f"{ENDPOINT}u{self.created}"
            self.uploads[url] = 0
        receipt = {"clip-receipt": self.receipt(url)} if self.uploads[url] == self.length_bytes else {}
        return Response(status=201, headers={**TUS, "location": url, **receipt})

    def status(self, url: str, *, patched: bool = False, claimed_bytes: int | None = None) -> Response:
        """Say how much there is, and show the receipt where it is due."""
        offset_bytes = self.uploads[url] if claimed_bytes is None else claimed_bytes
        headers = {**TUS, "upload-offset": str(offset_bytes), "upload-length": str(self.length_bytes)}
        if offset_bytes == self.length_bytes:
            self.looks[url] = self.looks.get(url, 0) + 1
            if self.looks[url] > self.habits.verifies_looks and (patched or not self.habits.by_hook):
                headers["clip-receipt"] = self.receipt(url)
        return Response(status=200, headers=headers)

    def receipt(self, url: str) -> str:
        """Sign for an upload as it is after so many losses."""
        return f"{url.rpartition('/')[2]}.{self.losses}.z"

    def lose(self, kept_bytes: int) -> None:
        """Lose the end of every upload."""
        self.losses += 1
        self.uploads = {url: min(has_bytes, kept_bytes) for url, has_bytes in self.uploads.items()}
        self.looks.clear()


class Driver(RuleBasedStateMachine):
    """Heeds the core's actions, each time with an outcome that hypothesis picks."""

    upload_of: Callable[..., Upload] = Upload

    @initialize(
        length_bytes=st.integers(0, 50),
        begun=st.sampled_from(["no", "known", "unknown", "elsewhere"]),
        habits=st.builds(Habits, st.booleans(), st.integers(0, 4), st.booleans()),
    )
    def begin(self, length_bytes: int, begun: str, habits: Habits) -> None:
        self.store = Store(length_bytes, habits)
        urls = {"no": None, "known": f"{ENDPOINT}u0", "unknown": f"{ENDPOINT}gone", "elsewhere": "http://127.0.0.2/f"}
        if begun == "known":
            self.store.uploads[f"{ENDPOINT}u0"] = length_bytes // 2
        self.length_bytes = length_bytes
        self.start(urls[begun])

    def start(self, url: str | None) -> None:
        """Start a process that knows this much."""
        self.kept = url
        self.last_word_bytes: int | None = None
        self.receipt: str | None = None
        self.questions = 0
        self.settled = False
        self.upload = type(self).upload_of(
            endpoint=ENDPOINT, length_bytes=self.length_bytes, metadata_header="k dg==", url=url
        )

    def asked(self) -> Request | None:
        action = self.upload.next()
        return action.request if isinstance(action, Send) else None

    def answer(self, response: Response) -> None:
        """Give an answer to the core, and let the model read it by itself."""
        request = self.asked()
        assert request is not None
        self.questions += 1
        if response.status == 201 and request.method == "POST" and "location" in response.headers:
            self.receipt = response.headers.get("clip-receipt")
        elif response.status in {200, 201, 202, 204} and "upload-offset" in response.headers:
            self.hear(int(response.headers["upload-offset"]), response.headers.get("clip-receipt"))
        self.upload.receive(response)

    def hear(self, offset: int, receipt: str | None) -> None:
        """Let the model take the store's word."""
        before, self.last_word_bytes = self.last_word_bytes or 0, offset
        if offset > before:
            self.questions = 0
        if offset < before or offset > self.length_bytes:
            self.receipt = None  # whatever was proven of those bytes is proven no more
        elif receipt is not None:
            self.receipt = receipt

    @precondition(lambda self: self.asked() is not None)
    @rule(
        how=st.sampled_from(["behaves", "behaves", "behaves", "is odd", "breaks", "lies", "lies"]),
        odd=st.tuples(st.sampled_from(ODD_STATUSES), st.booleans(), st.sampled_from(["", "5", "soon"])),
        number=st.integers(0, 60),
        early=st.booleans(),
    )
    def the_store_answers(self, *, how: str, odd: tuple[int, bool, str], number: int, early: bool) -> None:
        request = self.asked()
        assert request is not None
        match how:
            case "is odd":
                status, tus, retry_after = odd
                self.answer(Response(status=status, headers={**(TUS if tus else {}), "retry-after": retry_after}))
            case "breaks":
                # The request may have had its whole effect: a lost 201, a body that arrived in part.
                self.store.perform(request, arriving_bytes=max(0, number - 30))
                self.questions += 1
                self.upload.broken(reason=Reason.NETWORK, detail="connection reset")
            case "lies" if request.method != "POST" and request.url in self.store.uploads:
                answer = self.store.status(request.url, claimed_bytes=min(number, self.length_bytes + 2))
                if early:  # a receipt, and not all the bytes
                    shown = {"clip-receipt": self.store.receipt(request.url)}
                    answer = replace(answer, headers={**answer.headers, **shown})
                self.answer(answer)
            case _:
                self.answer(self.store.perform(request))

    @rule(what=st.integers(0, 11), kept_bytes=st.integers(0, 50))
    def something_else_happens(self, what: int, kept_bytes: int) -> None:
        """Seldom: bytes are lost, or uploads, or the process dies and knows only the URL that was made durable."""
        match what:
            case 0:
                self.store.lose(kept_bytes)
            case 1:
                self.store.lose(0)
                self.store.uploads.clear()
            case 2:
                self.start(self.kept)
            case _:
                pass

    @precondition(lambda self: self.asked() is None)
    @rule(settles=st.integers(0, 9))
    def the_driver_heeds(self, settles: int = 1) -> None:
        action = self.upload.next()
        if isinstance(action, Keep):
            self.kept, self.questions = action.url, 0
            self.upload.kept()
        elif isinstance(action, Wait | Poll | Restarted):
            self.questions = 0
            if isinstance(action, Restarted):
                self.kept, self.last_word_bytes, self.receipt = None, None, None
            if isinstance(action, Poll) and not settles:
                self.settled = True
                self.upload.settle()
            else:
                self.upload.resume()

    @invariant()
    def done_means_that_the_store_said_it_has_every_byte(self) -> None:
        if isinstance(self.upload.next(), Done):
            assert self.last_word_bytes == self.length_bytes

    @invariant()
    def a_receipt_shown_is_the_last_that_nothing_took_back(self) -> None:
        action = self.upload.next()
        if isinstance(action, Done):
            assert action.receipt == self.receipt
            assert action.receipt is not None or self.settled

    @invariant()
    def a_body_is_sent_from_the_stores_last_word_to_the_end(self) -> None:
        assert 0 <= self.upload.offset_bytes <= self.length_bytes
        request = self.asked()
        if request is not None and request.body is not None:
            assert request.body.offset_bytes == self.last_word_bytes == self.upload.offset_bytes
            assert request.body.length_bytes == self.length_bytes - self.upload.offset_bytes > 0

    @invariant()
    def no_byte_goes_before_its_url_is_kept(self) -> None:
        request = self.asked()
        if request is not None and request.method != "POST":
            assert request.url == self.kept

    @invariant()
    def it_never_asks_on_and_on_without_a_pause(self) -> None:
        assert self.questions <= MOST_QUESTIONS

    @invariant()
    def a_refusal_names_its_reason(self) -> None:
        action = self.upload.next()
        if isinstance(action, Refused | Wait):
            assert action.detail

    def teardown(self) -> None:
        """From here on the store behaves: the core comes to its end."""
        if not hasattr(self, "upload"):
            return
        for _ in range(STEPS_TO_THE_END):
            if isinstance(self.upload.next(), Done | Refused):
                break
            request = self.asked()
            if request is None:
                self.the_driver_heeds()
            else:
                self.answer(self.store.perform(request))
            self.a_body_is_sent_from_the_stores_last_word_to_the_end()
        assert isinstance(self.upload.next(), Done | Refused)
        self.done_means_that_the_store_said_it_has_every_byte()
        self.a_receipt_shown_is_the_last_that_nothing_took_back()


Driver.TestCase.settings = settings(
    max_examples=300, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
TestTheCoreAgainstAnyStore = Driver.TestCase


# --- the machine finds a fault ------------------------------------------------------------------------------------


class BelievesA204(Upload):
    """Takes the last PATCH's word for the end, without a HEAD or a receipt (I2)."""

    def _complete(self) -> None:
        if self.state is State.SEND:
            self._state, self._action = State.DONE, self._done()
        else:
            super()._complete()


class KeepsItsProof(Upload):
    """Remembers a receipt over bytes that the store has lost since."""

    def _learn(self, offset_bytes: int, proof: Proof) -> None:
        before = self._proof
        super()._learn(offset_bytes, proof)
        self._note(before if self._proof.receipt is None else self._proof)


class NeverGoesBack(Upload):
    """Believes an offset only where it is higher."""

    def _learn(self, offset_bytes: int, proof: Proof) -> None:
        super()._learn(max(offset_bytes, self.offset_bytes) if self.state is State.ASK else offset_bytes, proof)


class SendsOnAfterATrouble(Upload):
    """Sends the rest again at once after a body that was not acknowledged, without asking where the store is."""

    def _doubt(self, reason: Reason, detail: str) -> None:
        super()._doubt(reason, detail)
        self._trouble = None


class ForgetsToWait(Upload):
    """Asks again at once, whatever came."""

    def _back_off(self, reason: Reason, detail: str, *, retry_after_s: float | None = None) -> None:
        super()._back_off(reason, detail, retry_after_s=retry_after_s)
        self.resume()


class TakesAnyOffset(Upload):
    """Takes an offset beyond the end for the end."""

    def receive(self, response: Response) -> None:
        offset = response.headers.get("upload-offset", "")
        if offset.isdigit() and int(offset) > self._length_bytes:
            headers: dict[str, Any] = {**response.headers, "upload-offset": str(self._length_bytes)}
            response = Response(status=response.status, headers=headers)
        super().receive(response)


class SendsBeforeItIsKept(Upload):
    """Goes on with a new upload before its URL is durable."""

    def next(self) -> Action:
        action = super().next()
        return self._head() if isinstance(action, Keep) else action


class WaitsForEver(Upload):
    """Never asks a hook again for its receipt."""

    def resume(self) -> None:
        self._polls = 0
        super().resume()


@pytest.mark.promise("I2")
@pytest.mark.parametrize(
    "faulty",
    [
        BelievesA204,
        KeepsItsProof,
        NeverGoesBack,
        SendsOnAfterATrouble,
        ForgetsToWait,
        TakesAnyOffset,
        SendsBeforeItIsKept,
        WaitsForEver,
    ],
)
def test_a_core_that_goes_wrong_is_found(faulty: type[Upload]) -> None:
    class Faulty(Driver):
        upload_of = faulty

    found = settings(phases=[Phase.generate], max_examples=2000, stateful_step_count=40, report_multiple_bugs=False,
                     print_blob=False, suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
    with pytest.raises((AssertionError, InvariantError, HeaderError)):
        run_state_machine_as_test(Faulty, settings=found)
