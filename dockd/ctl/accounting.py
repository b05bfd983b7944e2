"""`dockctl account`: what was seen, where it is, and what does not agree with the store.

Owns its words and when it ends with 1.
"""

import argparse
from typing import TYPE_CHECKING, cast

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_OK
from dockd.ctl.printing import print_json

if TYPE_CHECKING:
    from dockd.edges.control.shape import Document, Json


def account(desk: Desk, arguments: argparse.Namespace) -> int:
    """The figures, when they were last compared, and every difference with its clip."""
    document = desk.account()
    rows = desk.rows("differences")
    if arguments.json:
        found = list(rows)
        print_json({"account": document, "differences": cast("Json", found)})
        return EX_FAILED if found else EX_OK
    _print_last(cast("Document | None", document["last"]))
    if document["reason"]:
        print(f"  not compared just now: {document['reason']}: {document['detail']}")
    elif document["offered"] is False:
        print("  not compared: this store lists no receipts")
    code = EX_OK
    for row in rows:
        print(f"  {row['kind']:<13} {row['clip_id'] or '-':<64}  {row['detail']} (since {row['since_utc']})")
        code = EX_FAILED
    return code


def _print_last(last: "Document | None") -> None:
    if last is None:
        print("no account was closed yet")
        return
    about = f"docking {last['docking']}" if last["docking"] is not None else "the whole station"
    against = "compared with the store" if last["compared"] else "not compared with the store"
    print(f"account of {about}, {last['utc']}, {against}")
    for name, count in cast("dict[str, dict[str, int]]", last["account"]).items():
        print(f"  {name:<13} {count['files']:>8} files {count['bytes']:>16} bytes")
