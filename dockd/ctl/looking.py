"""The commands that look: status, bays, clips, receipts, verify.

Owns their words and when they end with 1. Changes nothing.
"""

import argparse
from typing import TYPE_CHECKING, cast

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_OK
from dockd.ctl.printing import print_json, say, shown, stream_json
from dockd.edges.control.shape import Document

if TYPE_CHECKING:
    from dockd.edges.control.shape import Json


def status(desk: Desk, arguments: argparse.Namespace) -> int:
    """The station on one screen."""
    document = desk.status()
    backlog = cast("dict[str, dict[str, int]]", document["backlog"])
    store = cast("dict[str, Json]", document["store"])
    quarantine = cast("dict[str, int]", document["quarantine"])
    account = cast("dict[str, int]", document["account"])
    differences, unseen = account["differences"], account["unseen"]
    stuck = bool(document["faults"] or document["spool_full"] or store["reason"] or store["overdue"])
    trouble = stuck or bool(unseen) or any(quarantine.values())
    if arguments.json:
        print_json(document)
        return EX_FAILED if trouble else EX_OK
    say(f"station {document['station']}: {document['docked']} of {document['bays']} bays in use")
    for state, counts in backlog.items():
        if counts["files"]:
            say(f"  {state:<10} {counts['files']:>8} clips {counts['bytes']:>16} bytes")
    say(f"  store      {store['reason'] or 'ok'}{': ' if store['detail'] else ''}{store['detail']}")
    if any(quarantine.values()):
        say(f"  quarantine {quarantine['clips']} clips, {quarantine['cameras']} cameras: dockctl quarantine list")
    if differences:
        say(f"  account    {differences} differences, {unseen} not looked at: dockctl account")
    if document["continues"]:
        say(f"  continues  {document['continues']}")
    _print_strays(document)
    for bay, files in cast("dict[str, int]", document["kept"]).items():
        say(f"  bay {bay:<6} {_kept(files)}")
    if document["spool_full"]:
        say(f"  disk full  {document['spool_full']}")
    if document["faults"]:
        say(f"  faults     bays {', '.join(map(str, cast('list[int]', document['faults'])))}")
    return EX_FAILED if trouble else EX_OK


def bays(desk: Desk, arguments: argparse.Namespace) -> int:
    """Every bay: lamp, camera, what is left."""
    rows = list(desk.rows("bays"))
    if arguments.json:
        print_json({"bays": cast("Json", rows)})
    else:
        for row in rows:
            work = cast("dict[str, int]", row["work"])
            lamp = f"{row['colour']} {row['rhythm']}" if row["colour"] != "dark" else "dark"
            done = f"{work['receipted_files']}/{work['files']} receipted, {work['left_files']} left"
            say(f"bay {row['bay']:>2}  {row['phase']:<10} {lamp:<28} {shown(row['camera'] or '-'):<24} {done}")
            if row["kept_files"]:
                say(f"        {_kept(cast('int', row['kept_files']))}")
            if row["reason"]:
                say(f"        {row['reason']}: {row['detail']}", f"        officer: {row['officer']}")
    return EX_FAILED if any(row["reason"] for row in rows) else EX_OK


def clips(desk: Desk, arguments: argparse.Namespace) -> int:
    """Clips, with the reason of those that are stuck."""
    rows = desk.rows("clips", **{"in": arguments.in_state, "camera": arguments.camera})
    if arguments.json:
        stream_json("clips", rows)
        return EX_OK
    for row in rows:
        detail = row["detail"]
        why = f"  {row['reason']}: {detail}" if row["reason"] else f"  {detail}" if detail else ""
        clip_id = cast("str", row["clip_id"] or "-")[:16]
        say(f"{row['state']:<10} {row['assurance']:<9} {row['length_bytes']:>14} {clip_id:<16} {row['name']}{why}")
    return EX_OK


def receipts(desk: Desk, arguments: argparse.Namespace) -> int:
    """Receipts, or one clip's as the store signed it."""
    rows = desk.rows("receipts", clip_id=arguments.clip_id)
    if arguments.json:
        stream_json("receipts", rows)
        return EX_OK
    if arguments.clip_id is None:
        for row in rows:
            say(f"{row['clip_id']} {row['received_utc']} {row['length_bytes']:>14}")
        return EX_OK
    first = next(rows, None)
    if first is None:
        raise FileNotFoundError(f"clip {arguments.clip_id}: there is no receipt for it here")
    say(str(first["jws"]))
    return EX_OK


def verify(desk: Desk, arguments: argparse.Namespace) -> int:
    """A check of the whole custody chain and of every receipt."""
    document = desk.verify(receipts=arguments.receipts)
    problems = cast("list[str]", document["problems"])
    if arguments.json:
        print_json(document)
    else:
        say(
            f"{document['entries']} custody entries, {document['clips']} clips, {document['receipts']} receipts"
            f" ({document['signatures']}): {'clean' if not problems else f'{len(problems)} problems'}"
        )
        if document["compared"]:
            say(f"  compared with {document['compared']} receipts of the store's list")
        if document["continues"]:
            say(f"  continues {document['continues']}")
        if document.get("unstated"):
            say(f"  unstated  {document['unstated']}")
        _print_strays(document)
        for problem in problems:
            say(f"  {problem}")
    return EX_FAILED if problems else EX_OK


def _print_strays(document: Document) -> None:
    strays = cast("dict[str, int]", document["strays"])
    if strays["copies"]:
        say(f"  spool      {strays['copies']} copies without a clip, {strays['bytes']} bytes")


def _kept(files: int) -> str:
    # The lamp says whether they are safe: what is short here is room on the card.
    return f"this card keeps {files} files: their chains go on past their end; it may be taken while it has room"
