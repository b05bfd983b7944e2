"""What a custody entry says of a move: the facts that matter, and no more.

Owns the choice of facts. Knows neither rows nor the chain.
"""

import json
from collections.abc import Mapping

from dockd.domain.canonical import canonical_json, sha256_hex
from dockd.domain.clip import Change, Move
from dockd.domain.gaps import gaps_text
from dockd.domain.model import Clip, Facts

MADE = "ledger-made"
"""The cause of a chain's first entry; its facts are station, instance and key."""
RECOVERY_SEQ = 2
"""Where the entry stands that continues a lost ledger: behind the first, in the same transaction."""
NEW_KEY = "station-key"
"""The cause of an entry that names another key of the station than the one before; its fact is key."""
UNSTATED = "checkpoint-lost"
"""The cause of an entry that says that a start found no checkpoint to hold the chain against; its facts are why, and
the entries there were."""

READ = "read_"
"""Before the name of each fact that a profile read of a file, in the entry of its first listing."""


def facts_of(clip: Clip, move: Move, change: Change) -> dict[str, str]:
    """Give the facts of a move; `clip` is the clip as it is after it. Whatever the caller says, ours stand.

    Names: row (see `row_sha256`), sha256, url, assurance, receipt_sha256 (of the compact JWS), meta_sha256 (what the
    store was told), reason, detail, length.
    """
    facts = dict(change.facts)
    if change.sha256 is not None:
        facts["sha256"] = change.sha256
    if change.length_bytes is not None:
        facts["length"] = str(change.length_bytes)
    if change.url is not None:
        facts["url"] = change.url
    if change.assurance is not None:
        facts["assurance"] = change.assurance.value
    if change.receipt is not None:
        facts["receipt_sha256"] = sha256_hex(change.receipt.encode("utf-8"))
    if change.meta_sha256 is not None:
        facts["meta_sha256"] = change.meta_sha256
    if change.reason is not None:
        facts["reason"] = change.reason.value
    if change.detail:
        facts["detail"] = change.detail
    facts["row"] = row_sha256(clip)
    match move:
        case Move.ERASE_BEGUN | Move.ERASED if clip.sha256 is not None:
            facts["sha256"] = clip.sha256
        case _:
            pass
    return facts


def found_facts(clip: Clip) -> Mapping[str, str]:
    """Give the facts of a file's first listing: its path as text, its length, the card's claim of its time.

    What a profile read of it is told whole, each fact under its name with READ before it.
    """
    return {
        **{f"{READ}{name}": fact for name, fact in clip.facts},
        "length": str(clip.length_bytes),
        "mtime_ns": str(clip.mtime_ns),
        "path": clip.path.decode("utf-8", "surrogateescape"),
        "recording": clip.recording_id,
        "row": row_sha256(clip),
    }


def read_in(facts: Mapping[str, str]) -> Facts:
    """Give what a profile read, as the entry of a file's first listing tells it."""
    return tuple(sorted((name.removeprefix(READ), fact) for name, fact in facts.items() if name.startswith(READ)))


def row_sha256(clip: Clip) -> str:
    """Hash what is on record of a clip, so that its last entry says what its row must be.

    Left out is what may change without a move: the words that say what it waits for, and who has looked at it.
    """
    # Rows without a reading are hashed as they were before there were any.
    read = {"facts": dict(clip.facts)} if clip.facts else {}
    return sha256_hex(
        canonical_json(
            {
                **read,
                "assurance": clip.assurance.value,
                "clip_id": clip.clip_id,
                "docking": clip.docking,
                "gaps": gaps_text(clip.gaps),
                "key": clip.key,
                "kind": clip.kind.value,
                "length": clip.length_bytes,
                "meta_sha256": clip.meta_sha256,
                "mtime_ns": clip.mtime_ns,
                "path": clip.path.hex(),
                "receipt": clip.receipt,
                "recording": clip.recording_id,
                "sha256": clip.sha256,
                "spooled": int(clip.spooled),
                "state": clip.state.value,
                "tags": " ".join(sorted(clip.tags)),
                "urgent": int(clip.urgent),
                "url": clip.url,
                "verified_in": clip.verified_in,
            }
        )
    )


def facts_in(body: bytes) -> tuple[str, dict[str, str]]:
    """Read the cause and the facts of an entry that this ledger wrote.

    Raises:
        ValueError: it is none of ours.

    """
    entry = json.loads(body)
    try:
        return str(entry["cause"]), {str(name): str(fact) for name, fact in entry["facts"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        message = f"{body[:60]!r} is no custody entry"
        raise ValueError(message) from error
