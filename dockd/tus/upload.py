"""One upload by tus 1.0.0, without IO: says what to do next, and takes what came of it.

Owns what is believed of the store: its offset is truth, a URL is made durable before the first byte (`Keep`), HEAD
follows every creation, then one open-ended PATCH goes from the store's offset to the end. Must not know clips, time or
how requests travel: it says why to wait and whether there was progress; how long is decided elsewhere.

    upload = Upload(endpoint=..., length_bytes=..., metadata_header=...)
    while True:
        match upload.next():
            case Send(request=request): upload.receive(...) or upload.broken(...)
            case Keep(url=url): make it durable; upload.kept()
            case Wait() | Poll() | Restarted(): heed it; upload.resume()   (or upload.settle() on a Poll)
            case Done() | Refused(): break

What each answer means is in `answer`; the steps are the table in `step`.

**Source** tus 1.0.0, Core and Creation.
"""

from dataclasses import dataclass
from typing import assert_never

from dockd.errors import InvariantError, Reason
from dockd.tus.answer import (
    At,
    Busy,
    Conflict,
    Created,
    Gone,
    Proof,
    Rejected,
    read_creation,
    read_patch,
    read_status,
    resolve,
)
from dockd.tus.headers import (
    CONTENT_TYPE,
    OFFSET_CONTENT_TYPE,
    TUS_RESUMABLE,
    TUS_VERSION,
    UPLOAD_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_OFFSET,
    HeaderError,
)
from dockd.tus.message import BodyRange, Request, Response
from dockd.tus.step import TRANSITIONS, Action, Done, Keep, Poll, Refused, Restarted, Send, Signal, State, Wait

__all__ = [
    "TRANSITIONS",
    "Action",
    "BodyRange",
    "Done",
    "Keep",
    "Poll",
    "Refused",
    "Request",
    "Response",
    "Restarted",
    "Send",
    "Signal",
    "State",
    "Upload",
    "Wait",
]

PLAIN_POLLS = 3
"""So many times the store is only asked for its receipt; then every other time an empty PATCH asks its hook again."""

_NO_PROOF = Proof(receipt=None, repr_digest=None, stored_metadata=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """A PATCH from `offset_bytes` that was not acknowledged, and why."""

    offset_bytes: int
    reason: Reason
    detail: str


class Upload:
    """One file on its way to the store.

    `offset_bytes` is the store's last word, `url` the upload there. `regressions` counts how often the store went back
    behind its word, `restarts` how often it lost the upload: whoever drives this decides when that is too often. It
    never spins: each regression, each restart after the first and each PATCH that gained nothing comes with a Wait that
    says `progressed=False`.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        length_bytes: int,
        metadata_header: str,
        extra_headers: tuple[tuple[str, str], ...] = (),
        url: str | None = None,
    ) -> None:
        """Begin at `endpoint` (absolute), or go on with the upload at `url`; `extra_headers` go with POST and PATCH."""
        self._endpoint = endpoint
        self._length_bytes = length_bytes
        self._metadata_header = metadata_header
        self._extra_headers = extra_headers
        self.url = url
        self.offset_bytes = 0
        self.regressions = 0
        self.restarts = 0
        self._base_bytes: int | None = None
        self._trouble: _Trouble | None = None
        self._proof = _NO_PROOF
        self._polls = 0
        self._state = State.CREATE
        self._action: Action = self._post()
        if url is not None:
            self._state = State.ASK
            self._go_on_with(url)

    @property
    def state(self) -> State:
        """Where the upload is."""
        return self._state

    def next(self) -> Action:
        """Say what to do next; only looks, and says the same until one of the methods below is called."""
        return self._action

    def receive(self, response: Response) -> None:
        """Take the answer to the request that `next` gave.

        Raises:
            InvariantError: no request was asked for.

        """
        answer = self._read(response)
        if self._state is State.NUDGE:
            self._hear_nudge(answer)
            return
        match answer:
            case Created(url=url, proof=proof):
                self.url, self._proof = url, proof
                self._move(Signal.CREATED, Keep(url=url))
            case At(offset_bytes=offset_bytes, proof=proof):
                self._learn(offset_bytes, proof)
            case Conflict(detail=detail):
                self._doubt(Reason.STORE, detail)
            case Gone(detail=detail):
                self._lose(detail)
            case Busy(reason=reason, detail=detail, retry_after_s=retry_after_s):
                self._back_off(reason, detail, retry_after_s=retry_after_s)
            case Rejected(reason=reason, detail=detail):
                self._move(Signal.REJECTED, Refused(reason=reason, detail=detail))
            case _:
                assert_never(answer)

    def broken(self, *, reason: Reason, detail: str) -> None:
        """Take that no whole answer came; the store may or may not have acted.

        Raises:
            InvariantError: no request was asked for.

        """
        self._asked()
        if self._state is State.SEND:
            self._doubt(reason, detail)
        else:
            self._back_off(reason, detail)

    def kept(self) -> None:
        """Take that the URL is durable."""
        self._move(Signal.KEPT, self._head())

    def resume(self) -> None:
        """Go on after a Wait, a Poll or a Restarted."""
        if self._state is State.VERIFY:
            self._polls += 1
            if self._polls > PLAIN_POLLS and (self._polls - PLAIN_POLLS) % 2:
                self._move(Signal.INSISTED, self._patch(body=None))
            else:
                self._move(Signal.RESUMED, self._head())
        elif self._state is State.LOST and self.restarts > 1:
            self._back_off(Reason.STORE, f"the store lost this upload {self.restarts} times")
        else:
            self._move(Signal.RESUMED, self._post() if self.url is None else self._head())

    def settle(self) -> None:
        """Stop waiting for a receipt, on a Poll: Done without one follows."""
        self._move(Signal.SETTLED, self._done())

    # --- what came of it ---

    def _asked(self) -> None:
        if not isinstance(self._action, Send):
            raise InvariantError(
                f"upload in state {self._state} was told of an answer: expected none, nothing was asked"
            )

    def _read(self, response: Response) -> Created | At | Conflict | Gone | Busy | Rejected:
        self._asked()
        match self._state:
            case State.CREATE:
                return read_creation(response, endpoint=self._endpoint)
            case State.ASK:
                return read_status(response, length_bytes=self._length_bytes)
            case _:
                return read_patch(response, length_bytes=self._length_bytes)

    def _hear_nudge(self, answer: Created | At | Conflict | Gone | Busy | Rejected) -> None:
        match answer:
            case At(offset_bytes=offset_bytes, proof=proof) if offset_bytes == self._length_bytes and proof.receipt:
                self._note(proof)
                self._move(Signal.PROVEN, self._done())
            case Busy(reason=reason, detail=detail, retry_after_s=retry_after_s):
                self._back_off(reason, detail, retry_after_s=retry_after_s)
            case Created() | At() | Conflict() | Gone() | Rejected():
                self._move(Signal.UNSURE, self._poll())
            case _:
                assert_never(answer)

    def _learn(self, offset_bytes: int, proof: Proof) -> None:
        """Take the store's word: a HEAD is believed, a PATCH only where it moved on."""
        if self._state is State.SEND and offset_bytes <= self.offset_bytes:
            self._doubt(Reason.STORE, f"PATCH from {self.offset_bytes} left the store at {offset_bytes} bytes")
            return
        before_bytes, self.offset_bytes = self.offset_bytes, offset_bytes
        trouble, self._trouble = self._trouble, None
        if offset_bytes < before_bytes:
            self.regressions += 1
            self._proof, self._base_bytes = _NO_PROOF, offset_bytes
            self._back_off(Reason.STORE, f"the store had {before_bytes} bytes and now has {offset_bytes}")
            return
        if self._base_bytes is None:
            self._base_bytes = offset_bytes
        self._note(proof)
        if offset_bytes == self._length_bytes:
            self._complete()
        elif trouble is not None and trouble.offset_bytes == offset_bytes:
            self._back_off(trouble.reason, trouble.detail)
        else:
            body = BodyRange(offset_bytes=offset_bytes, length_bytes=self._length_bytes - offset_bytes)
            self._move(Signal.SHORT, self._patch(body=body))

    def _complete(self) -> None:
        if self._proof.receipt is not None:
            self._move(Signal.PROVEN, self._done())
        elif self._state is State.SEND:
            self._move(Signal.FULL, self._head())
        else:
            self._move(Signal.FULL, self._poll())

    def _doubt(self, reason: Reason, detail: str) -> None:
        """Take that a PATCH was not acknowledged: only a HEAD can tell what arrived."""
        self._trouble = _Trouble(offset_bytes=self.offset_bytes, reason=reason, detail=detail)
        self._move(Signal.UNSURE, self._head())

    def _lose(self, detail: str) -> None:
        """Take that the upload is lost: everything known of it is void."""
        self.url, self.offset_bytes = None, 0
        self._base_bytes, self._trouble, self._proof, self._polls = None, None, _NO_PROOF, 0
        self.restarts += 1
        self._move(Signal.GONE, Restarted(detail=detail))

    def _back_off(self, reason: Reason, detail: str, *, retry_after_s: float | None = None) -> None:
        base_bytes = self.offset_bytes if self._base_bytes is None else self._base_bytes
        progressed = self.offset_bytes > base_bytes
        if self._base_bytes is not None:
            self._base_bytes = self.offset_bytes
        self._trouble = None
        wait = Wait(reason=reason, detail=detail, retry_after_s=retry_after_s, progressed=progressed)
        self._move(Signal.BACK_OFF, wait)

    def _note(self, proof: Proof) -> None:
        """Keep the latest of each header: a hook's receipt comes once, on the 201 or the last 204, and on no HEAD."""
        self._proof = Proof(
            receipt=proof.receipt or self._proof.receipt,
            repr_digest=proof.repr_digest or self._proof.repr_digest,
            stored_metadata=proof.stored_metadata or self._proof.stored_metadata,
        )

    def _go_on_with(self, url: str) -> None:
        try:
            self.url = resolve(url, endpoint=self._endpoint)
        except HeaderError as error:
            # The station was pointed at another store since: what was begun at the old one is not asked after.
            self._lose(f"kept upload: {error}")
        else:
            self._action = self._head()

    def _move(self, signal: Signal, action: Action) -> None:
        state = TRANSITIONS.get((self._state, signal))
        if state is None:
            lawful = ", ".join(sorted(known.value for at, known in TRANSITIONS if at is self._state)) or "nothing"
            raise InvariantError(f"upload in state {self._state} was told {signal}: expected {lawful}")
        self._state, self._action = state, action

    # --- what to do ---

    def _post(self) -> Send:
        headers = [(UPLOAD_LENGTH, str(self._length_bytes))]
        if self._metadata_header:
            headers.append((UPLOAD_METADATA, self._metadata_header))
        return _send("POST", self._endpoint, *headers, *self._extra_headers)

    def _head(self) -> Send:
        return _send("HEAD", self._at())

    def _patch(self, *, body: BodyRange | None) -> Send:
        headers = ((CONTENT_TYPE, OFFSET_CONTENT_TYPE), (UPLOAD_OFFSET, str(self.offset_bytes)))
        return _send("PATCH", self._at(), *headers, *self._extra_headers, body=body)

    def _at(self) -> str:
        if self.url is None:
            raise InvariantError(f"upload in state {self._state} has no URL yet")
        return self.url

    def _poll(self) -> Poll:
        return Poll(detail=f"the store has all {self._length_bytes} bytes and is verifying: no receipt yet")

    def _done(self) -> Done:
        return Done(
            receipt=self._proof.receipt,
            repr_digest=self._proof.repr_digest,
            stored_metadata=self._proof.stored_metadata,
        )


def _send(method: str, url: str, *headers: tuple[str, str], body: BodyRange | None = None) -> Send:
    return Send(request=Request(method=method, url=url, headers=((TUS_RESUMABLE, TUS_VERSION), *headers), body=body))
