"""A station's statement of account, as it is sent to the store, and the store's answer to it.

Owns both forms of JSON, their strict reading, and what of a statement contradicts itself. Knows no HTTP and no ledger.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from dockd.domain.accounting import Account, Count
from dockd.domain.canonical import canonical_json
from dockd.domain.model import BayId, DockingId, Sha256, StationId

SCHEMA = 1
MOST_BYTES = 16 * 1024
MOST_COUNT = 2**63 - 1
MOST_DIFFERS = 100
MOST_WORDS = 500

InstanceId = NewType("InstanceId", str)
"""32 hex digits: one database of a station, from its making to its loss."""

_HEX32 = re.compile(r"[0-9a-f]{32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[ -~]{0,256}")
_NAME = re.compile(r"[ -~]{1,256}")
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_SHOWN_CHARS = 80


class StatementError(ValueError):
    """JSON that is no statement, or no answer to one: names the field, its value and what was expected."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        """Build the message; a long value is cut."""
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
        super().__init__(f"{name}: {shown}: expected {expected}")


class Occasion(StrEnum):
    """Why a statement is made."""

    DOCKING = "docking"
    DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockingRecord:
    """One stay of a camera in a bay, as it ended.

    `serial`, `volume`, `model` and `firmware` are ASCII with Python's backslash escapes. The listing is that of the
    last complete one, None where there was none; `early` and `left_files` are None where nobody saw how it ended.
    """

    key: DockingId
    bay: BayId
    serial: str
    volume: str
    model: str
    firmware: str
    attached_utc: str
    listed_utc: str | None
    ended_utc: str
    listing_sha256: Sha256 | None
    listing_files: int | None
    listing_bytes: int | None
    early: bool | None
    left_files: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DockingAccount:
    """A docking that ended and what it came to; `listed_files` as `accounting.check` wants it."""

    record: DockingRecord
    account: Account
    listed_files: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Which database it is, how many custody entries it has, and the hash of the last."""

    instance: InstanceId
    entries: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a station says of itself at one moment.

    `account` is that of the docking as it ended, or of the whole station. `as_of` is the store's sequence of the last
    receipt that the station has read of its list, `listed` all receipts up to there.
    """

    station: StationId
    chain: Chain
    occasion: Occasion
    docking: DockingRecord | None
    account: Account
    as_of: int
    listed: Count
    utc: str

    @property
    def about(self) -> str:
        """Name what it is about: `docking 7`, or `daily 2024-03-01`."""
        return f"daily {self.utc[:10]}" if self.docking is None else f"docking {self.docking.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The store's answer: what it gave this station up to `as_of` by its own count, and in words what differs."""

    given: Count
    differs: tuple[str, ...]


def statement_json(statement: Statement) -> bytes:
    """Write a statement in the one canonical form."""
    account, docking = statement.account, statement.docking
    return canonical_json(
        {
            "account": {
                f"{name}_{unit}": number
                for name, count in (
                    ("seen", account.seen),
                    ("receipted", account.receipted),
                    ("pending", account.pending),
                    ("quarantined", account.quarantined),
                )
                for unit, number in (("files", count.files), ("bytes", count.bytes_))
            },
            "as_of": statement.as_of,
            "chain": {"entries": statement.chain.entries, "head": statement.chain.head},
            "docking": None if docking is None else _docking_fields(docking),
            "instance": statement.chain.instance,
            "kind": statement.occasion.value,
            "listed": {"bytes": statement.listed.bytes_, "files": statement.listed.files},
            "schema": SCHEMA,
            "station": statement.station,
            "utc": statement.utc,
        }
    )


def parse_statement(data: bytes) -> Statement:
    """Read a statement, strictly: no field missing, none unknown, none twice, each of its type and in its range.

    Raises:
        StatementError: the first field that is wrong.

    """
    fields = _Fields.of(data, "statement")
    fields.only("account", "as_of", "chain", "docking", "instance", "kind", "listed", "schema", "station", "utc")
    if fields.number("schema") != SCHEMA:
        raise StatementError("schema", fields.number("schema"), f"{SCHEMA}")
    occasion = fields.text("kind", _NAME)
    if occasion not in set(Occasion):
        raise StatementError("kind", occasion, f"one of {', '.join(Occasion)}")
    docking = fields.under_or_none("docking")
    if (docking is not None) != (occasion == Occasion.DOCKING):
        raise StatementError("docking", docking and "an object", f"an object where kind is {Occasion.DOCKING}")
    chain = fields.under("chain")
    chain.only("entries", "head")
    listed = fields.under("listed")
    listed.only("files", "bytes")
    return Statement(
        station=StationId(fields.text("station", _NAME)),
        chain=Chain(
            instance=InstanceId(fields.text("instance", _HEX32)),
            entries=chain.number("entries"),
            head=chain.text("head", _HEX64),
        ),
        occasion=Occasion(occasion),
        docking=None if docking is None else _docking(docking),
        account=_account(fields.under("account")),
        as_of=fields.number("as_of"),
        listed=Count(files=listed.number("files"), bytes_=listed.number("bytes")),
        utc=fields.text("utc", _UTC),
    )


def verdict_json(verdict: Verdict) -> bytes:
    """Write the store's answer; of very many differences the first hundred."""
    given = {"bytes": verdict.given.bytes_, "files": verdict.given.files}
    return json.dumps({"differs": verdict.differs[:MOST_DIFFERS], "given": given, "schema": SCHEMA}).encode("ascii")


def parse_verdict(data: bytes) -> Verdict:
    """Read the store's answer, its words cut and escaped; fields that a later store adds are left alone.

    Raises:
        StatementError: the first field that is missing or wrong.

    """
    fields = _Fields.of(data, "answer")
    given = fields.under("given")
    differs = fields.value("differs")
    if not isinstance(differs, list) or not all(isinstance(words, str) for words in differs):
        raise StatementError("differs", differs, "a list of texts")
    return Verdict(
        given=Count(files=given.number("files"), bytes_=given.number("bytes")),
        differs=tuple(map(_harmless, differs[:MOST_DIFFERS])),
    )


def contradictions(statement: Statement) -> tuple[str, ...]:
    """Say what of a statement cannot be, whatever the store holds."""
    account = statement.account
    if account.adds_up:
        return ()
    return (f"seen is {account.seen}, receipted, pending and quarantined come to {account.told}",)


def _harmless(words: str) -> str:
    # They come from outside, and are shown on terminals.
    return words[:MOST_WORDS].encode("unicode_escape").decode("ascii")


class _Fields:
    """The fields of one JSON object, each read once and strictly."""

    def __init__(self, fields: Mapping[str, object], name: str) -> None:
        self._fields = fields
        self._name = name

    @classmethod
    def of(cls, data: bytes, name: str) -> "_Fields":
        if len(data) > MOST_BYTES:
            raise StatementError(name, f"{len(data)} bytes", f"at most {MOST_BYTES}")
        try:
            value: object = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        except StatementError:
            raise
        except (ValueError, RecursionError) as error:
            raise StatementError(name, data[:_SHOWN_CHARS], "a JSON object") from error
        if not isinstance(value, dict):
            raise StatementError(name, value, "a JSON object")
        return cls(value, "")

    def only(self, *names: str) -> None:
        """Refuse a field that there is none of."""
        for name in sorted(self._fields.keys() - set(names)):
            raise StatementError(self._path(name), self._fields[name], f"only {', '.join(names)}")

    def value(self, name: str) -> object:
        if name not in self._fields:
            raise StatementError(self._path(name), "(missing)", "it to be there")
        return self._fields[name]

    def text(self, name: str, form: re.Pattern[str]) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise StatementError(self._path(name), value, f"text like {form.pattern}")
        return value

    def text_or_none(self, name: str, form: re.Pattern[str]) -> str | None:
        return None if self.value(name) is None else self.text(name, form)

    def number(self, name: str) -> int:
        value = self.value(name)
        # bool is an int to Python; `true` is no number of files.
        if type(value) is not int or not 0 <= value <= MOST_COUNT:
            raise StatementError(self._path(name), value, f"a whole number from 0 to {MOST_COUNT}")
        return value

    def number_or_none(self, name: str) -> int | None:
        return None if self.value(name) is None else self.number(name)

    def flag_or_none(self, name: str) -> bool | None:
        value = self.value(name)
        if value is not None and not isinstance(value, bool):
            raise StatementError(self._path(name), value, "true, false or null")
        return value

    def under(self, name: str) -> "_Fields":
        value = self.value(name)
        if not isinstance(value, dict):
            raise StatementError(self._path(name), value, "a JSON object")
        return _Fields(value, self._path(name))

    def under_or_none(self, name: str) -> "_Fields | None":
        return None if self.value(name) is None else self.under(name)

    def _path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise StatementError(next(name for name in names if names.count(name) > 1), "(twice)", "each field once")
    return fields


def _account(fields: _Fields) -> Account:
    names = ("seen", "receipted", "pending", "quarantined")
    fields.only(*(f"{name}_{unit}" for name in names for unit in ("files", "bytes")))
    seen, receipted, pending, quarantined = (
        Count(files=fields.number(f"{name}_files"), bytes_=fields.number(f"{name}_bytes")) for name in names
    )
    return Account(seen=seen, receipted=receipted, pending=pending, quarantined=quarantined)


def _docking_fields(docking: DockingRecord) -> dict[str, str | int | None]:
    return {
        "attached_utc": docking.attached_utc,
        "bay": docking.bay,
        "bytes": docking.listing_bytes,
        "early": docking.early,
        "ended_utc": docking.ended_utc,
        "files": docking.listing_files,
        "firmware": docking.firmware,
        "key": docking.key,
        "left_files": docking.left_files,
        "listed_utc": docking.listed_utc,
        "listing_sha256": docking.listing_sha256,
        "model": docking.model,
        "serial": docking.serial,
        "volume": docking.volume,
    }


_DOCKING_FIELDS = (
    "attached_utc", "bay", "bytes", "early", "ended_utc", "files", "firmware", "key", "left_files", "listed_utc",
    "listing_sha256", "model", "serial", "volume",
)  # fmt: skip


def _docking(fields: _Fields) -> DockingRecord:
    fields.only(*_DOCKING_FIELDS)
    listing_sha256 = fields.text_or_none("listing_sha256", _HEX64)
    return DockingRecord(
        key=DockingId(fields.number("key")),
        bay=BayId(fields.number("bay")),
        serial=fields.text("serial", _TEXT),
        volume=fields.text("volume", _TEXT),
        model=fields.text("model", _TEXT),
        firmware=fields.text("firmware", _TEXT),
        attached_utc=fields.text("attached_utc", _UTC),
        listed_utc=fields.text_or_none("listed_utc", _UTC),
        ended_utc=fields.text("ended_utc", _UTC),
        listing_sha256=None if listing_sha256 is None else Sha256(listing_sha256),
        listing_files=fields.number_or_none("files"),
        listing_bytes=fields.number_or_none("bytes"),
        early=fields.flag_or_none("early"),
        left_files=fields.number_or_none("left_files"),
    )
