"""From the spool to a receipt: one clip, top to bottom.

Owns the store-side rungs of one clip: open, send, receipt. What an answer means is `dockd.tus`; how long to wait is
`dockd.domain.schedule`; this drives the one by the other and writes down what was proven.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dockd.app.policy import Policy
from dockd.app.ports import Keys, Ledger, Spool, Wire
from dockd.domain.clip import Change, Move
from dockd.domain.metadata import metadata_header, metadata_of, metadata_sha256
from dockd.domain.model import Assurance, Clip, ClipState, Sha256
from dockd.domain.receipt import Expected, ReceiptError, check_claims
from dockd.errors import InvariantError, Reason, TransientError
from dockd.tus.headers import CUSTODY_LEAF, HeaderError, parse_metadata
from dockd.tus.upload import Done, Keep, Poll, Refused, Request, Restarted, Send, Upload, Wait

LOSSES = 5
"""A store that lost a clip this often is not trusted with it again until somebody looks."""
SAME_FACTS = ("clip_id", "station", "length", "sha256", "serial", "volume", "name")
"""An earlier declaration may differ from ours in claims (model, marks, times), never in these."""


class Ending(StrEnum):
    """How an attempt to bring a clip to the store ended."""

    FINISHED = "finished"
    VERIFYING = "verifying"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt: FINISHED needs nothing more, the others are to be tried again, and `reason` says why."""

    ending: Ending
    reason: Reason | None = None
    detail: str = ""
    retry_after_s: float | None = None
    progressed: bool = False


FINISHED = Outcome(ending=Ending.FINISHED)


class Bringing:
    """One clip on its way to the store, over as many attempts as it takes."""

    def __init__(
        self,
        clip: Clip,
        *,
        ledger: Ledger,
        spool: Spool,
        wire: Wire,
        keys: Keys,
        policy: Policy,
        progress: Callable[[int], None],
    ) -> None:
        """Take a copied clip; `progress` is told the bytes the store has been sent.

        Raises:
            InvariantError: it was never copied.

        """
        if clip.clip_id is None or clip.sha256 is None:
            raise InvariantError(f"clip {clip.key}: to be uploaded in state {clip.state}, expected a copied clip")
        self._clip_id, self._sha256 = clip.clip_id, clip.sha256
        self._clip = clip
        self._ledger = ledger
        self._spool = spool
        self._wire = wire
        self._keys = keys
        self._policy = policy
        self._progress = progress
        self._metadata = metadata_of(clip, station=policy.station)
        self._upload: Upload | None = None
        self._lost_before = 0

    @property
    def clip(self) -> Clip:
        """The clip as it was after our last move."""
        return self._clip

    async def run(self) -> Outcome:  # noqa: C901 - one arm an action
        """Go on until the clip is receipted, or as far as the policy wants, or until there is a reason to wait."""
        upload = await self._begin()
        while True:
            match upload.next():
                case Send(request=request):
                    await self._send(upload, request)
                case Keep(url=url):
                    # On record before the first byte: whatever happens next, the bytes are found again.
                    await self._move(Move.OPENED, Change(url=url))
                    upload.kept()
                case Restarted(detail=detail):
                    if (outcome := await self._restarted(upload, detail)) is not None:
                        return outcome
                    upload.resume()
                case Wait() as wait:
                    return await self._waited(upload, wait)
                case Poll(detail=detail):
                    await self._all_sent()
                    if self._policy.wanted is Assurance.SIGNED:
                        return Outcome(ending=Ending.VERIFYING, detail=detail)
                    upload.settle()
                case Refused(reason=reason, detail=detail):
                    self._ask_anew(upload)
                    return await self._hold(reason, detail)
                case Done() as done:
                    return await self._done(upload, done)

    async def _begin(self) -> Upload:
        if self._upload is None:
            clip = self._clip
            self._upload = Upload(
                endpoint=self._policy.endpoint,
                length_bytes=clip.length_bytes,
                metadata_header=metadata_header(self._metadata),
                extra_headers=((CUSTODY_LEAF, await self._ledger.leaf(clip.key)),),
                url=clip.url,
            )
        elif isinstance(self._upload.next(), Wait | Poll):
            self._upload.resume()
        return self._upload

    async def _send(self, upload: Upload, request: Request) -> None:
        source = self._spool.path(self._clip_id) if request.body is not None else None
        try:
            response = await self._wire.exchange(request, source=source, progress=self._progress)
        except TransientError as error:
            upload.broken(reason=error.reason, detail=str(error))
        else:
            upload.receive(response)

    async def _waited(self, upload: Upload, wait: Wait) -> Outcome:
        if wait.reason is Reason.DISK and not await self._spool_holds():
            return await self._spool_lost(wait.detail)
        if self._losses(upload) >= LOSSES:
            return await self._hold(Reason.STORE, f"the store lost it {LOSSES} times: {wait.detail}")
        await self._ledger.annotate(self._clip.key, Change(reason=wait.reason, detail=wait.detail))
        return Outcome(
            ending=Ending.FAILED,
            reason=wait.reason,
            detail=wait.detail,
            retry_after_s=wait.retry_after_s,
            progressed=wait.progressed,
        )

    async def _restarted(self, upload: Upload, detail: str) -> Outcome | None:
        # A store may have lost it because what it got was not what we declared: look at our own copy first (I5).
        if not await self._spool_holds():
            return await self._spool_lost(detail)
        await self._move(Move.STORE_LOST, Change(facts={"why": detail}))
        if self._losses(upload) >= LOSSES:
            return await self._hold(Reason.STORE, f"the store lost it {LOSSES} times: {detail}")
        return None

    def _losses(self, upload: Upload) -> int:
        return self._lost_before + upload.restarts + upload.regressions

    async def _done(self, upload: Upload, done: Done) -> Outcome:
        if done.receipt is not None and self._keys.pinned():
            return await self._receipted(upload, done.receipt, done.stored_metadata)
        await self._all_sent()
        if self._policy.wanted is Assurance.SIGNED:
            detail = "the store gave a receipt, and no key is pinned here to check it by"
            return Outcome(ending=Ending.FAILED, reason=Reason.RECEIPT, detail=detail)
        if self._policy.wanted is Assurance.READBACK and upload.url is not None:
            return await self._read_back(upload, upload.url)
        return FINISHED

    async def _receipted(self, upload: Upload, compact: str, stored_metadata: str | None) -> Outcome:
        """Check a receipt in full, and only then write it down: from here on the evidence is safe (I1)."""
        expected = Expected(
            clip_id=self._clip_id,
            station=self._policy.station,
            length_bytes=self._clip.length_bytes,
            sha256=self._sha256,
            metadata=self._declarations(stored_metadata),
        )
        try:
            receipt = self._keys.verify(compact)
            check_claims(receipt.claims, expected)
        except ReceiptError as error:
            self._ask_anew(upload)
            return await self._hold(Reason.RECEIPT, str(error))
        change = Change(
            receipt=compact,
            assurance=Assurance.SIGNED,
            meta_sha256=receipt.claims.meta_sha256,
            facts={"kid": receipt.kid, "store": receipt.claims.store, "stored_at": receipt.claims.stored_at},
        )
        await self._move(Move.RECEIPTED, change)
        return FINISHED

    def _declarations(self, stored_metadata: str | None) -> frozenset[Sha256]:
        """Give the metadata digests that a receipt may cover: ours, or an earlier one of ours that the store kept."""
        ours = metadata_sha256(self._metadata)
        if stored_metadata is None:
            return frozenset({ours})
        try:
            stored = parse_metadata(stored_metadata)
        except HeaderError:
            return frozenset({ours})
        same = all(stored.get(name) == self._metadata.get(name) for name in SAME_FACTS)
        return frozenset({ours, metadata_sha256(stored)}) if same else frozenset({ours})

    async def _read_back(self, upload: Upload, url: str) -> Outcome:
        try:
            sha256, length_bytes = await self._wire.digest(url)
        except TransientError as error:
            # It may be there no more.
            self._ask_anew(upload)
            await self._ledger.annotate(self._clip.key, Change(reason=error.reason, detail=str(error)))
            return Outcome(
                ending=Ending.FAILED, reason=error.reason, detail=str(error), retry_after_s=error.retry_after_s
            )
        if (sha256, length_bytes) != (self._sha256, self._clip.length_bytes):
            if not await self._spool_holds():
                return await self._spool_lost("read back otherwise than it was copied, and so is the copy here")
            detail = f"read back {length_bytes} bytes with sha256 {sha256}, expected {self._clip.length_bytes} bytes"
            return await self._hold(Reason.HASH, f"{detail} with {self._sha256}")
        await self._move(Move.READ_BACK, Change(assurance=Assurance.READBACK))
        return FINISHED

    def _ask_anew(self, upload: Upload) -> None:
        """Let the next attempt ask the store how far it is, as after a restart, and judge no old answer again.

        There is one also where a clip should have been held, and a full disk kept that from being written.
        """
        self._lost_before, self._upload = self._losses(upload), None

    async def _all_sent(self) -> None:
        if self._clip.state is ClipState.COPIED:
            await self._move(Move.SENT, Change(assurance=Assurance.ACCEPTED))

    async def _spool_holds(self) -> bool:
        return await self._spool.digest(self._clip_id) == (self._sha256, self._clip.length_bytes)

    async def _spool_lost(self, detail: str) -> Outcome:
        if self._clip.gaps:
            # Its file is a clip of its own: what is lost here is salvaged anew when the camera is docked again.
            return await self._hold(Reason.DISK, f"the salvaged copy here is lost: {detail}")
        await self._move(Move.SPOOL_LOST, Change(facts={"why": detail}))
        return FINISHED

    async def _hold(self, reason: Reason, detail: str) -> Outcome:
        await self._move(Move.HELD, Change(reason=reason, detail=detail))
        return FINISHED

    async def _move(self, move: Move, change: Change) -> None:
        self._clip = await self._ledger.move(self._clip.key, move, change, actor="upload")
