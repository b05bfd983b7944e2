"""The accounts as JSON documents: figures, when they were last compared, and what differs.

Owns names and units on that wire, for the socket and the offline reading alike.
"""

from dockd.app.accounting import AccountView
from dockd.domain.accounting import Account, Closed, Count, Difference
from dockd.edges.control.shape import Document


def account_document(view: AccountView) -> Document:
    """Show how the accounts stand; `offered` is null until the store was asked."""
    return {
        "differences": view.differences,
        "offered": view.offered,
        "reason": view.reason.value if view.reason else None,
        "detail": view.detail,
        "last": None if view.last is None else _closed(view.last),
    }


def difference_document(key: int, since_utc: str, difference: Difference) -> Document:
    """Show one thing that does not agree; `clip_id` is null where it is no one clip's."""
    return {
        "key": key,
        "since_utc": since_utc,
        "kind": difference.kind.value,
        "clip_id": difference.clip_id,
        "detail": difference.detail,
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
