"""The vocabulary of an upload: what it asks for, where it can be, what can happen to it, and which leads where.

Owns the actions and the table. Must not know requests' contents or how an answer is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dockd.errors import Reason
from dockd.tus.message import Request

# --- what to do next ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Perform the request, then `receive` its answer; or say `broken` if none came."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Make the URL durable, then say `kept`."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Back off, then `resume`. `progressed`: the store has more bytes than at the last Wait, and lost none."""

    reason: Reason
    detail: str
    retry_after_s: float | None
    progressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The store has every byte and gave no receipt yet: wait a little and `resume`, or `settle` for less."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The store said it has every byte; its headers as sent, unchecked. `receipt` is None only after `settle`."""

    receipt: str | None
    repr_digest: str | None
    stored_metadata: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """The store has this upload no more: forget its URL, write that down, then `resume`; a new creation follows."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The store will never take this upload: hold the clip."""

    reason: Reason
    detail: str


Action = Send | Keep | Wait | Poll | Done | Restarted | Refused


# --- the machine --------------------------------------------------------------------------------------------------


class State(StrEnum):
    """Where an upload is; each state asks for one kind of action."""

    CREATE = "create"
    KEEP = "keep"
    ASK = "ask"
    SEND = "send"
    NUDGE = "nudge"
    WAIT_NEW = "wait-new"
    WAIT = "wait"
    VERIFY = "verify"
    LOST = "lost"
    DONE = "done"
    REFUSED = "refused"


class Signal(StrEnum):
    """What happened, in the terms of the machine."""

    CREATED = "created"
    KEPT = "kept"
    SHORT = "short"
    FULL = "full"
    PROVEN = "proven"
    UNSURE = "unsure"
    BACK_OFF = "back-off"
    GONE = "gone"
    REJECTED = "rejected"
    RESUMED = "resumed"
    INSISTED = "insisted"
    SETTLED = "settled"


TRANSITIONS: Mapping[tuple[State, Signal], State] = MappingProxyType(
    {
        (State.CREATE, Signal.CREATED): State.KEEP,
        (State.CREATE, Signal.BACK_OFF): State.WAIT_NEW,
        (State.CREATE, Signal.REJECTED): State.REFUSED,
        # A new upload is asked after too: a store may have the bytes already, from a lost 201 or another station.
        (State.KEEP, Signal.KEPT): State.ASK,
        (State.ASK, Signal.SHORT): State.SEND,
        (State.ASK, Signal.FULL): State.VERIFY,
        (State.ASK, Signal.PROVEN): State.DONE,
        (State.ASK, Signal.BACK_OFF): State.WAIT,
        (State.ASK, Signal.GONE): State.LOST,
        (State.ASK, Signal.REJECTED): State.REFUSED,
        (State.SEND, Signal.SHORT): State.SEND,
        # A 204 promises nothing: the offset is asked for again.
        (State.SEND, Signal.FULL): State.ASK,
        (State.SEND, Signal.PROVEN): State.DONE,
        (State.SEND, Signal.UNSURE): State.ASK,
        (State.SEND, Signal.BACK_OFF): State.WAIT,
        (State.SEND, Signal.GONE): State.LOST,
        (State.SEND, Signal.REJECTED): State.REFUSED,
        (State.NUDGE, Signal.PROVEN): State.DONE,
        # Some servers refuse an empty PATCH. No harm: the next HEAD says how things are.
        (State.NUDGE, Signal.UNSURE): State.VERIFY,
        (State.NUDGE, Signal.BACK_OFF): State.WAIT,
        (State.WAIT_NEW, Signal.RESUMED): State.CREATE,
        (State.WAIT, Signal.RESUMED): State.ASK,
        (State.VERIFY, Signal.RESUMED): State.ASK,
        (State.VERIFY, Signal.INSISTED): State.NUDGE,
        (State.VERIFY, Signal.SETTLED): State.DONE,
        (State.LOST, Signal.RESUMED): State.CREATE,
        # A store that loses one upload after another is given time.
        (State.LOST, Signal.BACK_OFF): State.WAIT_NEW,
    }
)
