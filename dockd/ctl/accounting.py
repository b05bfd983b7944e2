"""`dockctl account`: what was seen, where it is, what does not agree with the store, and that somebody looked at it.

Owns its words and when it ends with 1. Nothing here changes what is counted.
"""

import argparse
from typing import TYPE_CHECKING, cast

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_OK
from dockd.ctl.printing import print_json, say

if TYPE_CHECKING:
    from dockd.edges.control.shape import Document, Json


def add_arguments(account_: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    verbs = account_.add_subparsers(metavar="VERB")
    summary = "Note that you have looked at the open differences: they stay, and a new one alarms again."
    verb = verbs.add_parser("acknowledge", help=summary, description=summary, epilog=account_.epilog, parents=[common])
    verb.add_argument("--why", required=True, metavar="TEXT", help="what you found: it goes on record with your name")
    verb.set_defaults(run=acknowledge)


def account(desk: Desk, arguments: argparse.Namespace) -> int:
    """The figures, when they were last compared, and every difference with its clip."""
    document = desk.account()
    rows = desk.rows("differences")
    if arguments.json:
        found = list(rows)
        print_json({"account": document, "differences": cast("Json", found)})
        return EX_OK if all(row["acknowledged"] for row in found) else EX_FAILED
    _print_last(cast("Document | None", document["last"]))
    if document["reason"]:
        say(f"  not compared just now: {document['reason']}: {document['detail']}")
    elif document["offered"] is False:
        say("  not compared: this store lists no receipts")
    for store, files in cast("dict[str, int]", document["elsewhere"]).items():
        say(f"  {files} receipts are of another store ({store})")
    code = EX_OK
    for row in rows:
        when = f"since {row['since_utc']}, {row['times']} times, last {row['last_utc']}"
        seen = f"  [looked at by {row['acknowledged']}]" if row["acknowledged"] else ""
        say(f"  {row['kind']:<13} {row['clip_id'] or '-':<64}  {row['detail']} ({when}){seen}")
        code = code if row["acknowledged"] else EX_FAILED
    return code


def acknowledge(desk: Desk, arguments: argparse.Namespace) -> int:
    """Note that somebody has looked at what differs now; what comes later is not meant."""
    numbers = [cast("int", row["key"]) for row in desk.rows("differences")]
    answer: Document = {"acknowledged": 0}
    if numbers:
        answer = desk.wish("account/acknowledge", {"up_to": max(numbers), "why": arguments.why})
    if arguments.json:
        print_json(answer)
    else:
        say(f"{answer['acknowledged']} differences noted as looked at; {len(numbers)} are open")
    return EX_OK


def _print_last(last: "Document | None") -> None:
    if last is None:
        say("no account was closed yet")
        return
    about = f"docking {last['docking']}" if last["docking"] is not None else "the whole station"
    against = "compared with the store" if last["compared"] else "not compared with the store"
    say(f"account of {about}, {last['utc']}, {against}")
    for name, count in cast("dict[str, dict[str, int]]", last["account"]).items():
        say(f"  {name:<13} {count['files']:>8} files {count['bytes']:>16} bytes")
