"""What the world outside is told of a custody entry: which entries are events, and what an event says.

Owns the table of events and what each may carry. Never a file's name or a free text: a camera may have written its
wearer's name into either (I14). Knows no broker.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from dockd.domain.canonical import canonical_json
from dockd.domain.custody import Link
from dockd.domain.model import StationId

SCHEMA = 1


class EventType(StrEnum):
    """The last part of an event's topic."""

    DOCKED = "docked"
    UNDOCKED = "undocked"
    RECEIPTED = "receipted"
    QUARANTINED = "quarantined"
    FAULT = "fault"
    LOST = "lost"
    RECOVERED = "recovered"
    DIFFERENCE = "difference"


ALARMS = frozenset({EventType.QUARANTINED, EventType.FAULT, EventType.LOST, EventType.RECOVERED, EventType.DIFFERENCE})
"""Events that somebody has to look at: told however late. The others are told while they are news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How an entry is told: as which event, with which of its facts."""

    type: EventType
    facts: tuple[str, ...] = ()


EVENTS: Mapping[str, Telling] = MappingProxyType(
    {
        "docked": Telling(type=EventType.DOCKED, facts=("model", "firmware")),
        "undocked": Telling(type=EventType.UNDOCKED, facts=("early", "left_files")),
        "docking-cut": Telling(type=EventType.UNDOCKED),
        "receipted": Telling(type=EventType.RECEIPTED, facts=("store", "stored_at")),
        "held": Telling(type=EventType.QUARANTINED, facts=("reason",)),
        "stranger": Telling(type=EventType.FAULT, facts=("reason", "vendor", "product", "serial")),
        "camera broken": Telling(type=EventType.FAULT, facts=("reason",)),
        "spool-lost": Telling(type=EventType.LOST),
        "store-lost": Telling(type=EventType.LOST),
        "checkpoint-lost": Telling(type=EventType.FAULT, facts=("entries",)),
        "ledger-recovered": Telling(type=EventType.RECOVERED, facts=("basis", "old_seq", "old_head")),
        "difference": Telling(
            type=EventType.DIFFERENCE,
            facts=(
                "occasion",
                "seen",
                "receipted",
                "pending",
                "quarantined",
                "store",
                "as_of",
                "not-at-store",
                "unknown-here",
                "other-receipt",
                "leaf-unknown",
                "miscounted",
                "overdue",
                "clips",
            ),
        ),
    }
)
"""Every cause of a custody entry that is an event; all others are for the log alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: `id` is the hash of its custody entry, the same however often it is told; `body` is JSON."""

    id: str
    type: EventType
    seq: int
    body: bytes


def event_type_of(link: Link) -> EventType | None:
    """Say which event a custody entry is; None for what is for the log alone."""
    telling = EVENTS.get(_entry(link)["cause"])
    return None if telling is None else telling.type


def event_of(link: Link, *, station: StationId, historical_before_utc: str) -> Event:
    """Tell a custody entry that is an event.

    `historical` in the body says that it happened before `historical_before_utc`: it is told late.

    Raises:
        KeyError: it is none.

    """
    entry = _entry(link)
    telling = EVENTS[entry["cause"]]
    body = {
        "schema": SCHEMA,
        "id": link.hash,
        "type": telling.type.value,
        "station": station,
        "seq": link.seq,
        "ts": entry["utc"],
        "historical": entry["utc"] < historical_before_utc,
        "cause": entry["cause"],
        "bay": entry["bay"],
        "docking": entry["docking"],
        "camera": entry["camera"],
        "clip_id": entry["clip_id"],
        "facts": {name: entry["facts"][name] for name in telling.facts if name in entry["facts"]},
    }
    return Event(id=link.hash, type=telling.type, seq=link.seq, body=canonical_json(body))


def _entry(link: Link) -> dict[str, Any]:
    # The chain was checked when the ledger was opened, and only `custody.append` writes to it.
    entry: dict[str, Any] = json.loads(link.body)
    return entry
