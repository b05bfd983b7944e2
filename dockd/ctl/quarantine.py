"""`dockctl quarantine`: what is held back and why, and the two things that people can do about it.

Owns its words. Nothing here erases, and nothing here can: the daemon has no such wish to grant.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_NOINPUT, EX_OK
from dockd.ctl.printing import print_json, say, shown
from dockd.edges.control.shape import Document

if TYPE_CHECKING:
    from dockd.edges.control.shape import Json

NUMBER = re.compile(r"(d?)([0-9]{1,18})")
KEPT = "files stay on their card whatever their receipt: their chains go on past their end, where nobody has read"
KEPT_OFFICER = "Nothing: the lamp of the bay says whether the camera may be taken."
KEPT_IT = (
    "No alarm, but their room stays taken; dockctl clips --in receipted names what is safe at the store. When the card"
    " is full, have it imaged and replaced; never repair it."
)


def number(text: str) -> tuple[str, int]:
    """Read the number of a clip, or of a camera's docking with `d` before it.

    Raises:
        ArgumentTypeError: it is neither.

    """
    match = NUMBER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a clip, or d and that of a docking")
    return ("docking" if match[1] else "clip"), int(match[2])


def add_arguments(quarantine: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verbs = quarantine.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=summary, description=summary, epilog=quarantine.epilog, parents=[common])

    verb("list", "Every clip and every camera in quarantine, with its reason.").set_defaults(run=list_)
    show = verb("show", "Everything of one clip or camera, and what to do with it.")
    show.add_argument("number", type=number, metavar="N", help="as `list` shows it")
    show.set_defaults(run=show_)
    retry = verb("retry", "Have clips or cameras tried again.")
    retry.add_argument("numbers", type=number, nargs="*", metavar="N", help="as `list` shows them")
    retry.add_argument("--all", action="store_true", help="everything in quarantine")
    retry.add_argument("--camera", metavar="SERIAL", help="everything in quarantine of this camera")
    retry.set_defaults(run=retry_, usage=retry)
    release = verb("release", "Let one go that you have looked at. It is never erased by this, nor forgotten.")
    release.add_argument("numbers", type=number, nargs=1, metavar="N", help="as `list` shows it")
    release.add_argument(
        "--why", required=True, metavar="TEXT", help="what you found: it goes on record with your name"
    )
    release.set_defaults(run=release_)


def list_(desk: Desk, arguments: argparse.Namespace) -> int:
    """Every clip and camera in quarantine."""
    cameras, clips = list(desk.rows("broken")), list(desk.rows("held"))
    rows = [*cameras, *clips]
    code = EX_OK if all(row["acknowledged"] for row in rows) else EX_FAILED
    # Which bay holds which card, only a running station knows.
    kept = [] if arguments.state else [_kept(row) for row in desk.rows("bays") if row["kept_files"]]
    if arguments.json:
        print_json({"cameras": cast("Json", cameras), "clips": cast("Json", clips), "kept": cast("Json", kept)})
        return code
    for row in rows:
        what = row["name"] if row["kind"] == "clip" else f"(camera, bay {row['bay']})"
        seen = f"  [looked at by {row['acknowledged']}]" if row["acknowledged"] else ""
        camera, why = shown(row["camera"]), f"{row['reason']}: {row['words']}"
        say(f"{row['number']:>8}  {row['since_utc']}  {camera:<16}  {what}  {why}{seen}")
    for reason, row in {row["reason"]: row for row in rows}.items():
        say("", f"{reason}:", f"  officer  {row['officer']}", f"  IT       {row['it']}")
    if not rows:
        say("nothing is in quarantine")
    if kept:
        say("", f"kept: {KEPT}", *(f"  bay {row['bay']:<4} {row['camera']}: {row['files']} files" for row in kept))
        say(f"  officer  {KEPT_OFFICER}", f"  IT       {KEPT_IT}")
    return code


def _kept(bay: Document) -> Document:
    """Say what a card keeps that is in no quarantine."""
    return {
        "bay": bay["bay"],
        "camera": bay["camera"],
        "files": bay["kept_files"],
        "words": KEPT,
        "officer": KEPT_OFFICER,
        "it": KEPT_IT,
    }


def show_(desk: Desk, arguments: argparse.Namespace) -> int:
    """Everything of one clip or camera."""
    kind, key = arguments.number
    case = desk.case(kind, key)
    if arguments.json:
        print_json(case)
        return EX_OK
    lines = _clip_lines(case) if kind == "clip" else _camera_lines(case)
    say(*lines)
    return EX_OK


def retry_(desk: Desk, arguments: argparse.Namespace) -> int:
    """Have clips or cameras tried again."""
    ways = (bool(arguments.numbers), arguments.all, arguments.camera is not None)
    if sum(ways) != 1:
        arguments.usage.error("expected numbers, or --all, or --camera SERIAL, and one of these only")
    wanted: Document = {"everything": True} if arguments.all else {"camera": arguments.camera}
    if arguments.numbers:
        wanted = _numbers(arguments.numbers)
    return _wish(desk, arguments, "quarantine/retry", wanted)


def release_(desk: Desk, arguments: argparse.Namespace) -> int:
    """Let one go that somebody has looked at."""
    return _wish(desk, arguments, "quarantine/release", {**_numbers(arguments.numbers), "why": arguments.why})


def _numbers(numbers: Iterable[tuple[str, int]]) -> Document:
    named = list(numbers)
    return {f"{kind}s": [key for kind_, key in named if kind_ == kind] for kind in ("clip", "docking")}


def _wish(desk: Desk, arguments: argparse.Namespace, verb: str, wanted: Document) -> int:
    answer = desk.wish(verb, wanted)
    results = cast("list[dict[str, Json]]", answer["results"])
    if arguments.json:
        print_json(answer)
    for result in () if arguments.json else results:
        say(f"{result['number']:>8}  {result['outcome']}: {result['words']}")
    if not (results or arguments.json):
        say("nothing is in quarantine")
    if any(result["outcome"] == "unknown" for result in results):
        return EX_NOINPUT
    return EX_OK if all(result["done"] for result in results) else EX_FAILED


# --- one case in words --------------------------------------------------------------------------------------------


def _clip_lines(case: Document) -> list[str]:
    clip = cast("Mapping[str, Json]", case["clip"])
    facts = {
        "clip": f"{case['number']}, {clip['state']}, assurance {clip['assurance']}",
        "camera": f"{clip['camera']}, volume {clip['volume']}",
        "file": f"{clip['name']}, {clip['length_bytes']} bytes, {clip['kind']}",
        "clip id": clip["clip_id"] or "not copied yet",
        "sha256": clip["sha256"] or "not copied yet",
        "tags": " ".join(cast("list[str]", clip["tags"])),
        "copy here": "yes" if case["copy_here"] else "no",
        "gaps": f"{case['gaps']} ({case['unreadable_bytes']} bytes, offset+length)" if case["gaps"] else "",
    }
    lines = [*_facts(facts), *_advice(case)]
    lines += [
        f"salvaged   as clip {each['number']}, {each['state']}, without {each['gaps']} (offset+length)"
        for each in cast("list[Mapping[str, Json]]", case["salvaged"])
    ]
    return [*lines, *_dockings(case), *_custody(case)]


def _camera_lines(case: Document) -> list[str]:
    facts = {
        "camera": f"{case['camera']}, volume {case['volume']}",
        "model": f"{case['model']} {case['firmware']}".strip(),
    }
    clips = cast("list[Mapping[str, Json]]", case["clips"])
    held = [f"  {each['number']:>8}  {each['reason']}  {each['name']}" for each in clips]
    return [*_facts(facts), *_advice(case), *_dockings(case), *(["clips in quarantine", *held] if held else [])]


def _facts(facts: Mapping[str, object]) -> list[str]:
    return [f"{name:<10} {text}" for name, text in facts.items() if text]


def _advice(case: Document) -> list[str]:
    if not case["reason"]:
        return []
    facts = {
        "reason": f"{case['reason']}: {case['words']}",
        "detail": case["detail"],
        "officer": case["officer"],
        "IT": case["it"],
        "looked at": case["acknowledged"],
    }
    return _facts(facts)


def _dockings(case: Document) -> list[str]:
    lines = ["dockings of this camera, the latest first"]
    for docking in cast("list[Mapping[str, Json]]", case["dockings"]):
        listed = f"{docking['files']} files listed" if docking["listed_utc"] else "never listed whole"
        end = "open" if docking["ended_utc"] is None else f"ended {docking['ended_utc']}"
        broke = f", {docking['reason']}: {docking['detail']}" if docking["reason"] else ""
        number_ = f"d{docking['docking']}"
        lines.append(f"  {number_:>8}  {docking['attached_utc']}  bay {docking['bay']}, {listed}, {end}{broke}")
    return lines


def _custody(case: Document) -> list[str]:
    lines = ["custody"]
    for entry in cast("list[Mapping[str, Json]]", case["custody"]):
        facts = cast("Mapping[str, str]", entry["facts"])
        told = ", ".join(f"{name} {facts[name]}" for name in ("reason", "detail", "why", "of") if name in facts)
        more = f" ({told})" if told else ""
        lines.append(f"  {entry['seq']:>8}  {entry['utc']}  {entry['actor']}: {entry['words']}{more}")
    return lines
