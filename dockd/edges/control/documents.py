"""What the ledger holds, as JSON documents: the one form that the socket and the offline reading share.

Owns names and units on that wire. Names of files are shown escaped: they are data that a camera chose.
"""

import base64
from collections.abc import Sequence

from dockd.domain.bay import Tally
from dockd.domain.facts import MOST_CHARS, ascii_text
from dockd.domain.model import Clip, ClipState
from dockd.domain.space import Strays
from dockd.edges.control.shape import Document
from dockd.edges.ledger.audit import Report
from dockd.edges.ledger.rows import StoredReceipt


def name_text(path: bytes) -> str:
    """Show a name that may hold anything: printable text as it is, everything else escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def clip_document(clip: Clip) -> Document:
    """Show one clip; `name_base64` is its path as the camera has it, `facts` what its camera's profile read of it."""
    return {
        "key": clip.key,
        "clip_id": clip.clip_id,
        "state": clip.state.value,
        "assurance": clip.assurance.value,
        "reason": clip.reason.value if clip.reason else None,
        "detail": clip.detail,
        "camera": clip.camera.serial,
        "volume": clip.camera.volume,
        "name": name_text(clip.path),
        "name_base64": base64.b64encode(clip.path).decode("ascii"),
        "length_bytes": clip.length_bytes,
        "sha256": clip.sha256,
        "kind": clip.kind.value,
        "tags": [*sorted(tag.value for tag in clip.tags)],
        "urgent": clip.urgent,
        "docking": clip.docking,
        "recording_id": clip.recording_id,
        "facts": {name: ascii_text(fact, most=MOST_CHARS) for name, fact in clip.facts},
        "url": clip.url,
    }


def receipt_document(receipt: StoredReceipt) -> Document:
    """Show one stored receipt; `jws` is the compact JWS as the store sent it."""
    return {
        "key": receipt.clip,
        "clip_id": receipt.clip_id,
        "sha256": receipt.sha256,
        "length_bytes": receipt.length_bytes,
        "received_utc": receipt.received_utc,
        "jws": receipt.compact,
    }


def report_document(report: Report) -> Document:
    """Show what a check of everything stored found; `problems` is empty where all is well."""
    return {
        "station": report.station,
        "entries": report.entries,
        "clips": report.clips,
        "receipts": report.receipts,
        "anchored": report.anchored,
        "checkpoint": report.checkpoint,
        "continues": report.continues or None,
        "unstated": report.unstated or None,
        "compared": report.foreign,
        "strays": strays_document(report.strays),
        "signatures": "signatures checked" if report.signatures else "signatures not checked: no key",
        "problems": [*report.faults, *([f"and {report.more} more"] if report.more else [])],
    }


def tally_document(tally: Tally) -> Document:
    """Show files and bytes by state."""
    return {
        state.value: {"files": tally.files.get(state, 0), "bytes": tally.bytes_.get(state, 0)} for state in ClipState
    }


def strays_document(strays: Strays) -> Document:
    """Show the copies that no clip names."""
    return {"copies": strays.copies, "bytes": strays.bytes_}


def listed(documents: Sequence[Document], *, name: str, after: int | None) -> Document:
    """Give a page of documents, and the key to ask the next one with; None after the last."""
    return {name: list(documents), "next": after}
