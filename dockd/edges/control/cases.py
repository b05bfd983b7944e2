"""Quarantine as JSON documents: what is in it, why, what to do about it, and what became of a wish.

Owns names and units on that wire, like `documents`. A clip's number is its key, a camera's is `d` and its docking.
"""

import json
from collections.abc import Sequence

from dockd.app.quarantine import Answer
from dockd.domain.advice import ADVICE
from dockd.domain.custody import Link
from dockd.domain.gaps import gaps_text, unreadable_bytes
from dockd.domain.model import Clip
from dockd.domain.quarantine import CUSTODY, DONE, OUTCOMES, Broken, Held
from dockd.edges.control.documents import clip_document, name_text
from dockd.edges.control.shape import Document
from dockd.edges.ledger.rows import Docking
from dockd.errors import Reason

MOST_DOCKINGS = 20
"""So many dockings of a camera are shown, the latest."""


def held_document(held: Held) -> Document:
    """Show one held clip."""
    clip = held.clip
    return {
        "number": str(clip.key),
        "kind": "clip",
        "since_utc": held.since_utc,
        "camera": clip.camera.serial,
        "volume": clip.camera.volume,
        "name": name_text(clip.path),
        "length_bytes": clip.length_bytes,
        "tags": [*sorted(tag.value for tag in clip.tags)],
        **_why(clip.reason, clip.detail, clip.acknowledged),
    }


def broken_document(broken: Broken) -> Document:
    """Show one camera that broke."""
    return {
        "number": f"d{broken.docking}",
        "kind": "camera",
        "since_utc": broken.since_utc,
        "camera": broken.camera.serial,
        "volume": broken.camera.volume,
        "bay": broken.bay,
        **_why(broken.reason, broken.detail, broken.acknowledged),
    }


def clip_case(clip: Clip, *, links: Sequence[Link], dockings: Sequence[Docking], salvaged: Sequence[Clip]) -> Document:
    """Show everything of one clip, in quarantine or not; `salvaged` is what was saved of its file."""
    return {
        "number": str(clip.key),
        "kind": "clip",
        "clip": clip_document(clip),
        "copy_here": clip.spooled,
        "unreadable_bytes": unreadable_bytes(clip.gaps),
        "gaps": gaps_text(clip.gaps),
        "salvaged": [
            {"number": str(each.key), "state": each.state.value, "clip_id": each.clip_id, "gaps": gaps_text(each.gaps)}
            for each in salvaged
        ],
        **_why(clip.reason, clip.detail, clip.acknowledged),
        "dockings": [*map(docking_document, dockings)],
        "custody": [*map(_entry, links)],
    }


def camera_case(docking: Docking, *, dockings: Sequence[Docking], held: Sequence[Held]) -> Document:
    """Show everything of one docking: the camera, its other dockings, its clips in quarantine."""
    return {
        "number": f"d{docking.key}",
        "kind": "camera",
        "camera": docking.camera.serial,
        "volume": docking.camera.volume,
        "model": docking.camera.model,
        "firmware": docking.camera.firmware,
        **_why(docking.reason, docking.detail, docking.acknowledged),
        "dockings": [*map(docking_document, dockings)],
        "clips": [*map(held_document, held)],
    }


def docking_document(docking: Docking) -> Document:
    """Show one docking."""
    return {
        "docking": docking.key,
        "bay": docking.bay,
        "attached_utc": docking.attached_utc,
        "listed_utc": docking.listed_utc,
        "files": docking.files,
        "ended_utc": docking.ended_utc,
        "early": docking.early,
        "left_files": docking.left_files,
        "reason": docking.reason.value if docking.reason else None,
        "detail": docking.detail,
    }


def answers_document(answers: Sequence[Answer]) -> Document:
    """Show what became of wishes, in the order in which they were answered."""
    return {"results": [*map(_answer, answers)]}


def alarms_document(clips: int, cameras: int) -> Document:
    """Show how much is in quarantine that nobody has looked at."""
    return {"clips": clips, "cameras": cameras}


def _answer(answer: Answer) -> Document:
    detail = f" ({answer.detail})" if answer.detail else ""
    return {
        "number": f"d{answer.docking}" if answer.clip is None else str(answer.clip),
        "outcome": answer.outcome.value,
        "done": answer.outcome in DONE,
        "words": f"{OUTCOMES[answer.outcome]}{detail}",
    }


def _why(reason: Reason | None, detail: str, acknowledged: str) -> Document:
    advice = None if reason is None else ADVICE[reason]
    return {
        "reason": None if reason is None else reason.value,
        "words": advice.words if advice else "",
        "officer": advice.officer if advice else "",
        "it": advice.it if advice else "",
        "detail": detail,
        "acknowledged": acknowledged,
    }


def _entry(link: Link) -> Document:
    body = json.loads(link.body)
    return {
        "seq": link.seq,
        "utc": body["utc"],
        "source": body["source"],
        "actor": body["actor"],
        "bay": body["bay"],
        "docking": body["docking"],
        "cause": body["cause"],
        "words": CUSTODY.get(body["cause"], body["cause"]),
        "from": body["from"],
        "to": body["to"],
        "facts": body["facts"],
    }
