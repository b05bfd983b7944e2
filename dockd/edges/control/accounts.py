"""The accounts as JSON documents: figures, when they were last compared, and what differs.

Owns names and units on that wire, for the socket and the offline reading alike.
"""

from dockd.app.accounting import AccountView
from dockd.domain.accounting import Account, Closed, Count, OpenDifference
from dockd.edges.control.shape import Document


def account_document(view: AccountView) -> Document:
    """Show how the accounts stand; `offered` is null until the store was asked."""
    return {
        "differences": view.differences,
        "unseen": view.unseen,
        "elsewhere": dict(view.elsewhere),
        "offered": view.offered,
        "reason": view.reason.value if view.reason else None,
        "detail": view.detail,
        "last": None if view.last is None else _closed(view.last),
    }


def difference_document(row: OpenDifference) -> Document:
    """Show one thing that does not agree; `clip_id` is null where it is no one clip's."""
    return {
        "key": row.key,
        "since_utc": row.since_utc,
        "last_utc": row.last_utc,
        "times": row.times,
        "kind": row.difference.kind.value,
        "clip_id": row.difference.clip_id,
        "detail": row.difference.detail,
        "acknowledged": row.acknowledged,
    }


def _closed(closed: Closed) -> Document:
    return {
        "utc": closed.utc,
        "occasion": closed.occasion,
        "docking": closed.docking,
        "compared": closed.compared,
        "account": _account(closed.account),
    }


def _account(account: Account) -> Document:
    return {
        "seen": _count(account.seen),
        "receipted": _count(account.receipted),
        "pending": _count(account.pending),
        "quarantined": _count(account.quarantined),
    }


def _count(count: Count) -> Document:
    return {"files": count.files, "bytes": count.bytes_}
