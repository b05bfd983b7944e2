"""The custody log: a hash chain of everything that happened to a clip, verifiable by a third party.

Owns the form of an entry, its hash and the check of a chain. Sequence orders; wall times inform (I13).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dockd.domain.canonical import canonical_json, sha256_hex
from dockd.domain.model import BayId, CameraSerial, ClipId, ClipKey, DockingId, Timestamp

GENESIS = "0" * 64
"""What the first entry names as its predecessor."""

_LEAF = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log, before it has its place in the chain.

    `actor` is the part that acted ('offload', 'upload', 'erase', 'station', 'ledger' or 'user:NAME'); `state_from`
    and `state_to` are clip states, empty where no clip moved; `cause` is the move or the event; `facts` are short texts
    by name (digest, url, receipt key, words).
    """

    time: Timestamp
    actor: str
    cause: str
    bay: BayId | None = None
    docking: DockingId | None = None
    camera: CameraSerial | None = None
    clip: ClipKey | None = None
    clip_id: ClipId | None = None
    state_from: str = ""
    state_to: str = ""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry in its place: `body` is what is hashed, `hash` names the entry and is the next one's `prev`."""

    seq: int
    prev: str
    hash: str
    body: bytes


class BrokenChainError(Exception):
    """The log was edited, cut or mixed up; `seq` is the first place where it shows."""

    def __init__(self, seq: int, detail: str) -> None:
        """Keep the place and the particulars."""
        super().__init__(f"custody entry {seq}: {detail}")
        self.seq = seq


def leaf_hash(body: bytes) -> str:
    """Hash an entry as a Merkle tree leaf, so that a tree can be built over the log later.

    Source: RFC 6962 section 2.1 (0x00 before a leaf).
    """
    return sha256_hex(_LEAF + body)


def append(entry: Entry, *, seq: int, prev: str) -> Link:
    """Give an entry its place after the one whose hash is `prev`; seq starts at 1."""
    body = canonical_json(
        {
            "actor": entry.actor,
            "bay": entry.bay,
            "camera": entry.camera,
            "cause": entry.cause,
            "clip": entry.clip,
            "clip_id": entry.clip_id,
            "docking": entry.docking,
            "facts": dict(entry.facts),
            "from": entry.state_from,
            "prev": prev,
            "seq": seq,
            "source": entry.time.source,
            "to": entry.state_to,
            "uncertainty_ms": entry.time.uncertainty_ms,
            "utc": entry.time.utc,
        }
    )
    return Link(seq=seq, prev=prev, hash=leaf_hash(body), body=body)


def verify(links: Iterable[Link], *, seq: int = 1, prev: str = GENESIS) -> Iterator[Link]:
    """Pass links through, in order, as long as the chain holds; `seq` and `prev` say where it goes on.

    Raises:
        BrokenChainError: at the first link that is missing, edited or out of order.

    """
    for link in links:
        if link.seq != seq:
            raise BrokenChainError(seq, f"is missing, found {link.seq} in its place")
        if link.prev != prev:
            raise BrokenChainError(seq, f"follows {link.prev}, expected {prev}")
        if link.hash != leaf_hash(link.body):
            raise BrokenChainError(seq, "its body does not hash to its recorded hash")
        if not _names(link):
            raise BrokenChainError(seq, "its body names another place in the chain")
        yield link
        seq, prev = seq + 1, link.hash


def _names(link: Link) -> bool:
    # The body is canonical JSON of ours, so these exact pairs stand in it once, outside any text value: a quote
    # inside a text is escaped.
    return f'"prev":"{link.prev}","seq":{link.seq},"source":'.encode("ascii") in link.body
