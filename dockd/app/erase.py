"""Taking a clip off its camera: read it again, check its receipt again, ask the gate, write it down, unlink.

Owns the last rung of a clip's way. The decision is `domain.erasure.may_erase`, and nothing else's.
"""

from dockd.app.offload import matches, read_again
from dockd.app.policy import Policy
from dockd.app.ports import Keys, Ledger, ReadAgain
from dockd.app.stay import Stay
from dockd.domain.clip import Change, Move
from dockd.domain.erasure import ErasePermit, Refusal, Reread, may_erase
from dockd.domain.model import Clip, ClipState
from dockd.domain.receipt import Expected, Receipt, ReceiptError
from dockd.errors import PermanentError, Reason, TransientError


async def erase_clip(clip: Clip, stay: Stay, *, ledger: Ledger, keys: Keys, policy: Policy) -> Refusal | None:
    """RECEIPTED to ERASED, or the reason why not.

    The move is on record before the unlink and after it; what a cut in between left is found out at the next listing.
    """
    again = await read_again(clip, stay)
    if not matches(clip, again):
        await _differs(clip, stay, again, ledger=ledger)
        return None
    try:
        receipt = keys.verify(clip.receipt or "")
    except ReceiptError as error:
        return await _refused(clip, stay, Refusal(why=str(error)), reason=Reason.RECEIPT, ledger=ledger)
    match await _verdict(clip, stay, again, receipt, ledger=ledger, policy=policy):
        case Refusal() as refusal:
            return await _refused(clip, stay, refusal, reason=None, ledger=ledger)
        case ErasePermit() as permit:
            await ledger.move(clip.key, Move.ERASE_BEGUN, Change(verified_in=stay.docking), actor="erase")
            return await _unlink(clip, stay, permit, ledger=ledger)


async def _differs(clip: Clip, stay: Stay, again: ReadAgain, *, ledger: Ledger) -> None:
    """Answer a file that is not the clip: another file under an old name, or a camera that cannot be believed (I5)."""
    if clip.verified_in != stay.docking:
        await ledger.supersede(clip.key, stay.file(clip), docking=stay.docking)
        return
    raise PermanentError(
        Reason.HASH,
        f"the camera now gives {again.length_bytes} bytes with sha256 {again.sha256},"
        f" expected {clip.length_bytes} bytes with {clip.sha256}",
    )


async def _verdict(
    clip: Clip, stay: Stay, again: ReadAgain, receipt: Receipt, *, ledger: Ledger, policy: Policy
) -> ErasePermit | Refusal:
    if clip.clip_id is None or clip.sha256 is None or clip.meta_sha256 is None:
        return Refusal(why="the clip was never copied")
    expected = Expected(
        clip_id=clip.clip_id,
        station=policy.station,
        length_bytes=clip.length_bytes,
        sha256=clip.sha256,
        metadata=frozenset({clip.meta_sha256}),
    )
    reread = Reread(
        docking=stay.docking,
        camera=stay.camera,
        path=clip.path,
        length_bytes=again.length_bytes,
        sha256=again.sha256,
        uncached=again.uncached,
    )
    return may_erase(
        clip=clip,
        receipt=receipt,
        expected=expected,
        reread=reread,
        stay=stay.facts(erase_allowed=policy.erase),
        recording=await ledger.recording(clip),
    )


async def _refused(clip: Clip, stay: Stay, refusal: Refusal, *, reason: Reason | None, ledger: Ledger) -> Refusal:
    if clip.verified_in != stay.docking:
        await ledger.move(clip.key, Move.CONFIRMED, Change(verified_in=stay.docking), actor="offload")
    await ledger.annotate(clip.key, Change(reason=reason, detail=refusal.why))
    return refusal


async def _unlink(clip: Clip, stay: Stay, permit: ErasePermit, *, ledger: Ledger) -> Refusal | None:
    try:
        await stay.card.erase(permit)
    except PermanentError as error:
        change = Change(reason=error.reason, detail=str(error))
        await ledger.move(clip.key, Move.ERASE_FAILED, change, actor="erase")
        return Refusal(why=str(error))
    except TransientError:
        # It was asked for and not answered: only a complete listing can tell whether the file is gone (I7).
        await stay.list_card(ledger=ledger)
        if (await ledger.clip(clip.key)).state is ClipState.ERASED:
            return None
        raise
    await ledger.move(clip.key, Move.ERASED, Change(), actor="erase")
    return None
