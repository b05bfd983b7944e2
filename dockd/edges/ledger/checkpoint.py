"""The checkpoint file of a state folder: read with all mistrust, written durably after the commit that it speaks of.

Owns that file. What a checkpoint says is `domain.checkpoint`; when one is due is the ledger's.
"""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dockd.domain.checkpoint import Checkpoint, CheckpointError, Stated, checkpoint_signing_input, parse_checkpoint
from dockd.domain.receipt import compact
from dockd.durable import replace_file
from dockd.errors import Reason, TransientError

FILE = "checkpoint"
MOST_BYTES = 8192

Check = Callable[[str, bytes, bytes], bool]
"""Says whether a signature (last) over bytes is of a public key (first): `edges.seal.verifies`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a state folder says of its chain's end: `text` as it stands there, empty where the file is gone.

    `stated` is None where the text is no checkpoint, and then `flaw` says why.
    """

    text: str = ""
    stated: Stated | None = None
    flaw: str = ""


def kept(state_dir: Path) -> Kept:
    """Read the checkpoint of a state folder.

    Raises:
        OSError: the disk does not give it.

    """
    try:
        with (state_dir / FILE).open("rb") as file:
            text = file.read(MOST_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return Kept()
    try:
        return Kept(text=text, stated=parse_checkpoint(text))
    except CheckpointError as error:
        return Kept(text=text or "?", flaw=str(error))


def keep(state_dir: Path, checkpoint: Checkpoint, *, kid: str, sign: Callable[[bytes], bytes]) -> None:
    """Sign a checkpoint and leave it in the state folder, durably, in the place of the one before.

    Raises:
        TransientError: DISK or DISK_FULL; the one before stays, and stays true.

    """
    signed = checkpoint_signing_input(checkpoint, kid=kid)
    try:
        replace_file(state_dir / FILE, compact(signed, sign(signed)).encode("ascii") + b"\n")
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno == errno.ENOSPC else Reason.DISK
        raise TransientError(reason, f"{state_dir / FILE}: {error.strerror}, expected it to be written") from error


def is_signed(stated: Stated, *, keys: Iterable[str], check: Check) -> bool:
    """Say whether a checkpoint bears a signature of one of these public keys."""
    return any(check(key, stated.jws.signing_input, stated.jws.signature) for key in keys if key)
