"""The client core against a small model of a store that loses bytes, uploads and answers, and says what it likes.

Whatever it does, the core never says Done unless the store's last word was the full length, never asks to send from
another offset than the store's last word, and comes to its end once the store behaves.
"""

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockd.errors import Reason
from dockd.tus.upload import Done, Keep, Poll, Refused, Request, Response, Restarted, Send, Upload, Wait

ENDPOINT = "http://127.0.0.1:1080/files/"
TUS = {"tus-resumable": "1.0.0"}
ODD_STATUSES = [
    *(200, 201, 204, 301, 307, 401, 403, 404, 409, 410, 412, 413, 423),
    *(425, 429, 460, 500, 502, 503, 504, 507, 511, 599),
]
STEPS_TO_THE_END = 24
"""More than a core needs against a store that behaves: creation, HEAD, PATCH, polls, and what it waits for before."""


class Store:
    """A store's truth: uploads by URL with the bytes each has; gives a receipt once it has them all."""

    def __init__(self, length_bytes: int) -> None:
        self.length_bytes = length_bytes
        self.uploads: dict[str, int] = {}
        self.created = 0

    def perform(self, request: Request, *, arriving_bytes: int | None = None) -> Response:
        """Answer as tus 1.0.0 says; of a body only the first `arriving_bytes` arrive."""
        if request.method == "POST":
            self.created += 1
            url = f"{ENDPOINT}u{self.created}"
            self.uploads[url] = 0
            return Response(status=201, headers={**TUS, "location": url})
        if request.url not in self.uploads:
            return Response(status=404, headers=TUS)
        if request.method == "PATCH":
            if dict(request.headers)["Upload-Offset"] != str(self.uploads[request.url]):
                return Response(status=409, headers=TUS)
            sent_bytes = request.body.length_bytes if request.body else 0
            self.uploads[request.url] += sent_bytes if arriving_bytes is None else min(sent_bytes, arriving_bytes)
        return self.status(request.url)

    def status(self, url: str, *, claimed_bytes: int | None = None) -> Response:
        offset_bytes = self.uploads[url] if claimed_bytes is None else claimed_bytes
        headers = {**TUS, "upload-offset": str(offset_bytes), "upload-length": str(self.length_bytes)}
        if offset_bytes == self.length_bytes:
            headers["clip-receipt"] = "e.y.z"
        return Response(status=200, headers=headers)


class Driver(RuleBasedStateMachine):
    """Heeds the core's actions, each time with an outcome that hypothesis picks."""

    @initialize(length_bytes=st.integers(0, 50), begun=st.sampled_from(["no", "known", "unknown", "elsewhere"]))
    def begin(self, length_bytes: int, begun: str) -> None:
        self.store = Store(length_bytes)
        urls = {"no": None, "known": f"{ENDPOINT}u0", "unknown": f"{ENDPOINT}gone", "elsewhere": "http://127.0.0.2/f"}
        if begun == "known":
            self.store.uploads[f"{ENDPOINT}u0"] = length_bytes // 2
        self.length_bytes = length_bytes
        self.last_word_bytes: int | None = None
        self.upload = Upload(endpoint=ENDPOINT, length_bytes=length_bytes, metadata_header="k dg==", url=urls[begun])

    def asked(self) -> Request | None:
        action = self.upload.next()
        return action.request if isinstance(action, Send) else None

    def answer(self, response: Response) -> None:
        request = self.asked()
        assert request is not None
        if response.status in {200, 201, 202, 204} and request.method != "POST" and "upload-offset" in response.headers:
            self.last_word_bytes = int(response.headers["upload-offset"])
        self.upload.receive(response)

    @precondition(lambda self: self.asked() is not None)
    @rule()
    def the_store_behaves(self) -> None:
        request = self.asked()
        assert request is not None
        self.answer(self.store.perform(request))

    @precondition(lambda self: self.asked() is not None)
    @rule(status=st.sampled_from(ODD_STATUSES), tus=st.booleans(), retry_after=st.sampled_from(["", "5", "soon"]))
    def it_says_something_odd(self, *, status: int, tus: bool, retry_after: str) -> None:
        self.answer(Response(status=status, headers={**(TUS if tus else {}), "retry-after": retry_after}))

    @precondition(lambda self: self.asked() is not None)
    @rule(arriving_bytes=st.integers(0, 60))
    def the_connection_breaks(self, arriving_bytes: int) -> None:
        """The request may have had its whole effect: a lost 201, a body that arrived in part."""
        request = self.asked()
        assert request is not None
        self.store.perform(request, arriving_bytes=arriving_bytes)
        self.upload.broken(reason=Reason.NETWORK, detail="connection reset")

    @precondition(lambda self: self.asked() is not None)
    @rule(claimed_bytes=st.integers(0, 60))
    def it_lies_about_the_offset(self, claimed_bytes: int) -> None:
        request = self.asked()
        assert request is not None
        if request.method != "POST" and request.url in self.store.uploads:
            self.answer(self.store.status(request.url, claimed_bytes=claimed_bytes))

    @rule(kept_bytes=st.integers(0, 50))
    def it_loses_bytes(self, kept_bytes: int) -> None:
        self.store.uploads = {url: min(has_bytes, kept_bytes) for url, has_bytes in self.store.uploads.items()}

    @rule()
    def it_loses_every_upload(self) -> None:
        self.store.uploads.clear()

    @precondition(lambda self: self.asked() is None)
    @rule()
    def the_driver_heeds(self) -> None:
        action = self.upload.next()
        if isinstance(action, Keep):
            self.upload.kept()
        elif isinstance(action, Wait | Poll | Restarted):
            self.upload.resume()

    @invariant()
    def done_means_that_the_store_said_it_has_every_byte(self) -> None:
        if isinstance(self.upload.next(), Done):
            assert self.last_word_bytes == self.length_bytes

    @invariant()
    def done_without_a_receipt_is_only_what_the_driver_settles_for(self) -> None:
        action = self.upload.next()
        if isinstance(action, Done):
            assert action.receipt == "e.y.z"

    @invariant()
    def a_body_is_sent_from_the_stores_last_word_to_the_end(self) -> None:
        assert 0 <= self.upload.offset_bytes <= self.length_bytes
        request = self.asked()
        if request is not None and request.body is not None:
            assert request.body.offset_bytes == self.last_word_bytes == self.upload.offset_bytes
            assert request.body.length_bytes == self.length_bytes - self.upload.offset_bytes > 0

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


Driver.TestCase.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTheCoreAgainstAnyStore = Driver.TestCase
