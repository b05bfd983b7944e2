"""What a check of a state folder finds: counts, and faults in words.

Owns the report's shape and how many faults are told. Knows no database.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockd.domain.custody import Link
from dockd.domain.model import ClipKey, DockingId, StationId
from dockd.domain.space import NO_STRAYS, Strays

MAX_FAULTS = 100
"""Faults told one by one; a ruined folder has one for every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked and what is wrong; `faults` are lines for people, `more` how many were left out.

    `anchored` counts receipts that name a custody entry of this very chain: up to there it is the store's word, too,
    that the chain is the one it was. `signatures` says whether signatures were checked at all. `checkpoint` is the
    entry up to which the station's own checkpoint vouches for the chain, 0 where there is none. `continues` says in
    words which lost ledger this one continues, empty where none. `foreign` counts the receipts of the store's list that
    were compared. `strays` are the copies in the spool that no clip names. `unstated` says in words where the chain
    goes on though nothing vouched for its length, empty where it never did.
    """

    station: StationId
    entries: int
    clips: int
    receipts: int
    anchored: int
    signatures: bool
    faults: tuple[str, ...]
    more: int
    checkpoint: int = 0
    continues: str = ""
    foreign: int = 0
    strays: Strays = NO_STRAYS
    unstated: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(slots=True)
class Findings:
    """What was found so far."""

    station: StationId
    instance: str = ""
    entries: int = 0
    clips: int = 0
    receipts: int = 0
    anchored: int = 0
    checkpoint: int = 0
    continues: str = ""
    foreign: int = 0
    strays: Strays = NO_STRAYS
    unstated: str = ""
    faults: list[str] = field(default_factory=list)
    more: int = 0

    def fault(self, line: str) -> None:
        """Take down one thing that is wrong."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(line)
        else:
            self.more += 1

    def differs(self, what: str, row: object, chain: object) -> None:
        """Hold what a row says against what the chain says of it."""
        if row != chain:
            self.fault(f"{what} is {row!r}, its custody entries say {chain!r}")

    def report(self, *, signatures: bool) -> Report:
        """Sum it up."""
        return Report(
            station=self.station,
            entries=self.entries,
            clips=self.clips,
            receipts=self.receipts,
            anchored=self.anchored,
            signatures=signatures,
            faults=tuple(self.faults),
            more=self.more,
            checkpoint=self.checkpoint,
            continues=self.continues,
            foreign=self.foreign,
            strays=self.strays,
            unstated=self.unstated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What an entry says, as far as it is compared."""

    utc: str
    actor: str
    bay: int | None
    docking: DockingId | None
    camera: str | None
    clip: ClipKey | None
    clip_id: str | None
    begin: str
    end: str
    cause: str
    facts: Mapping[str, str]


def body_of(link: Link, findings: Findings) -> Body | None:
    """Read an entry; one that is none of ours is a fault and None."""
    try:
        body = json.loads(link.body)
        return Body(
            utc=body["utc"],
            actor=body["actor"],
            bay=body["bay"],
            docking=body["docking"],
            camera=body["camera"],
            clip=body["clip"],
            clip_id=body["clip_id"],
            begin=body["from"],
            end=body["to"],
            cause=body["cause"],
            facts=dict(body["facts"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        findings.fault(f"custody entry {link.seq}: is no entry of ours: {error!r}")
        return None
