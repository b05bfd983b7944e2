"""Chance and its record: the one Random of a run, which faults strike when, and the trace of everything that happened.

Owns every random choice. The same seed makes the same choices in the same order, as long as the program asks for them
in the same order.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from random import Random

from dockd.tus.message import Request, Response


class Fault(StrEnum):
    """What can go wrong, by the names of the catalogue."""

    PULL = "camera pulled at any moment"
    PULL_IN_ERASE = "camera pulled in the erase window"
    RENAMED = "device comes back under another name"
    RESET_LOOP = "device resets over and over"
    HUB = "hub drops all bays"
    SWAPPED = "another camera in the same bay at once"
    TWIN = "two cameras with one serial"
    REPLACED = "another file under an old name"
    HANG = "a read that hangs"
    MISREAD = "a read gives wrong bytes"
    CACHED = "a re-read that a cache may have answered"
    UNREADABLE = "a file that cannot be read"
    PARTLY_READABLE = "a file that reads with errors in it"
    GROWING = "a file still growing"
    OPEN_FAILS = "a card that does not open"
    LISTING_ERROR = "listing ends in an error"
    DUPLICATE_NAME = "two equal names"
    READ_ONLY = "card read-only at erase"
    COMES_BACK = "erased file comes back"
    DISK_FULL = "spool full"
    NO_INODES = "spool's disk has no more names for files"
    WRITE_FULL = "no space in the middle of a copy"
    DISK_READ_ONLY = "disk turns read-only"
    STALL = "writes stall"
    FLUSH_LIES = "disk lied about a flush"
    VANISHED = "spool's disk comes back empty"
    FSYNC = "fsync fails"
    SPOOL_MISREAD = "spool reads back otherwise"
    BIT_ROT = "spool bit rot"
    SPOOL_SICK = "spool file cannot be looked at or removed"
    LEDGER_FULL = "ledger cannot write"
    POWER_CUT = "power cut"
    CUTS = "power cuts every thirty seconds"
    KILLED = "program killed"
    RESTART = "clean restart"
    CLOCK_JUMP = "wall clock jumps"
    CLOCK_1970 = "wall clock starts in 1970"
    CLOCK_HOSTILE = "wall clock jumps at every look"
    BLACK_HOLE = "no answer at all"
    FLAP = "link flaps"
    NO_TRUST = "name or certificate of the store does not hold"
    SLOW_LINK = "slow link"
    SLOWLORIS = "answer that never ends"
    DUPLICATE = "request delivered twice"
    BROKEN_BODY = "connection broken in the body"
    LOST_ANSWER = "answer lost"
    PAGE = "captive portal's page"
    REDIRECT = "redirect elsewhere"
    CONFLICT = "409"
    LOCKED = "423"
    GONE = "404 or 410 on resume"
    BUSY = "413, 429 and 5xx with Retry-After"
    AUTH = "401 or 403"
    REFUSED = "400, 413 or 415 on creation"
    OFFSET_BACK = "offset goes back"
    OFFSET_TOO_HIGH = "offset too high"
    BYTES_LOST = "204, then the bytes are lost"
    LATE = "late receipt"
    FORGED = "forged receipt"
    WRONG_CLIP = "receipt of another clip"
    REPLAYED = "genuine receipt replayed"
    WRONG_STATION = "receipt for another station"
    WRONG_DIGEST = "receipt with another digest"
    WRONG_LENGTH = "receipt with another length"
    WRONG_METADATA = "receipt over other metadata"
    OTHER_KEY = "receipt under another key"
    NOT_CANONICAL = "receipt in another spelling"
    BROKER_AWAY = "broker away"
    BROKER_SILENT = "broker gives no answer"
    BROKER_LOST_ANSWER = "broker's answer lost"


RATES: Mapping[Fault, float] = {
    Fault.PULL: 0.008,
    Fault.PULL_IN_ERASE: 0.15,
    Fault.RENAMED: 0.1,
    Fault.RESET_LOOP: 0.08,
    Fault.HUB: 0.12,
    Fault.SWAPPED: 0.15,
    Fault.TWIN: 0.3,
    Fault.REPLACED: 0.25,
    Fault.HANG: 0.05,
    Fault.MISREAD: 0.06,
    Fault.CACHED: 0.1,
    Fault.UNREADABLE: 0.05,
    Fault.PARTLY_READABLE: 0.06,
    Fault.GROWING: 0.15,
    Fault.OPEN_FAILS: 0.3,
    Fault.LISTING_ERROR: 0.2,
    Fault.DUPLICATE_NAME: 0.15,
    Fault.READ_ONLY: 0.25,
    Fault.COMES_BACK: 0.3,
    Fault.DISK_FULL: 0.08,
    Fault.NO_INODES: 0.08,
    Fault.WRITE_FULL: 0.06,
    Fault.DISK_READ_ONLY: 0.02,
    Fault.STALL: 0.03,
    Fault.FLUSH_LIES: 0.2,
    Fault.VANISHED: 0.08,
    Fault.FSYNC: 0.06,
    Fault.SPOOL_MISREAD: 0.1,
    Fault.BIT_ROT: 0.08,
    Fault.SPOOL_SICK: 0.1,
    Fault.LEDGER_FULL: 0.005,
    Fault.POWER_CUT: 0.003,
    Fault.CUTS: 0.08,
    Fault.KILLED: 0.15,
    Fault.RESTART: 0.25,
    Fault.CLOCK_JUMP: 0.4,
    Fault.CLOCK_1970: 0.2,
    Fault.CLOCK_HOSTILE: 0.02,
    Fault.BLACK_HOLE: 0.05,
    Fault.FLAP: 0.15,
    Fault.NO_TRUST: 0.08,
    Fault.SLOW_LINK: 0.15,
    Fault.SLOWLORIS: 0.05,
    Fault.DUPLICATE: 0.15,
    Fault.BROKEN_BODY: 0.25,
    Fault.LOST_ANSWER: 0.1,
    Fault.PAGE: 0.1,
    Fault.REDIRECT: 0.08,
    Fault.CONFLICT: 0.12,
    Fault.LOCKED: 0.12,
    Fault.GONE: 0.06,
    Fault.BUSY: 0.12,
    Fault.AUTH: 0.1,
    Fault.REFUSED: 0.15,
    Fault.OFFSET_BACK: 0.1,
    Fault.OFFSET_TOO_HIGH: 0.06,
    Fault.BYTES_LOST: 0.15,
    Fault.LATE: 0.3,
    Fault.FORGED: 0.08,
    Fault.WRONG_CLIP: 0.08,
    Fault.REPLAYED: 0.3,
    Fault.WRONG_STATION: 0.08,
    Fault.WRONG_DIGEST: 0.08,
    Fault.WRONG_LENGTH: 0.08,
    Fault.WRONG_METADATA: 0.08,
    Fault.OTHER_KEY: 0.08,
    Fault.NOT_CANONICAL: 0.08,
    Fault.BROKER_AWAY: 0.1,
    Fault.BROKER_SILENT: 0.05,
    Fault.BROKER_LOST_ANSWER: 0.1,
}
"""How often each strikes, for each time that it could."""

LASTS_S = (0.0, 0.0, 0.0, 5.0, 30.0, 300.0)
"""How long a fault may go on: most are over at once, some outlive a docking."""

KINDS_AT_ONCE = (0, 3, 3, 6, 6, 12, 12, 20, 20, 35)
"""How many kinds of faults a run may have: few at a time reach deeper than all at once."""


class Fate:
    """The chance of one run."""

    def __init__(self, seed: int, *, only: frozenset[Fault] | None = None) -> None:
        self.random = Random(seed)
        kinds = self.random.choice(KINDS_AT_ONCE)
        chosen = frozenset(self.random.sample(list(Fault), kinds))
        self.possible = chosen if only is None else only
        self.injected: Counter[Fault] = Counter()
        self.lines: list[str] = []
        self.calm = False
        self._until_s: dict[tuple[Fault, str], float] = {}
        self._hash = sha256()

    def strikes(self, fault: Fault, where: str = "") -> bool:
        """Say whether a fault happens here and now, and write it down."""
        if self.calm or fault not in self.possible or self.random.random() >= RATES[fault]:
            return False
        self.struck(fault, where)
        return True

    def lasts(self, fault: Fault, where: str = "", *, of: str = "") -> bool:
        """Say whether a fault holds here and now: once it strikes, it may go on striking for a while.

        `of` is what is struck, where there are several of it.
        """
        if self.calm:
            return False
        now_s = asyncio.get_running_loop().time()
        if now_s < self._until_s.get((fault, of), 0.0):
            return True
        if not self.strikes(fault, where):
            return False
        self._until_s[fault, of] = now_s + self.random.choice(LASTS_S)
        return True

    def begins(self, request: Request) -> None:
        """Hear of a request to the store."""

    def ended(self, answer: Response | None) -> None:
        """Hear how it ended; None is without an answer."""

    def struck(self, fault: Fault, where: str = "") -> None:
        """Write down that a fault happened."""
        self.injected[fault] += 1
        self.note(f"FAULT {fault.value} {where}")

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        line = f"{asyncio.get_running_loop().time():12.4f} {what}"
        self.lines.append(line)
        self._hash.update(line.encode("utf-8", "surrogateescape") + b"\n")

    def trace_sha256(self) -> str:
        """Name everything that happened."""
        return self._hash.hexdigest()

    def between(self, least: float, most: float) -> float:
        """Choose a number."""
        return self.random.uniform(least, most)

    def jitter(self) -> float:
        """Give a number in [0, 1): the port Chance."""
        return self.random.random()
