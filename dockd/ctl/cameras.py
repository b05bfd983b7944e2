"""`dockctl cameras test`: which profile a device is of, and what it makes of every file of a card on a desk.

Owns its words and when it ends with 1. Needs no daemon, and changes nothing of the card.
"""

import argparse
import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_OK
from dockd.ctl.printing import print_json, say
from dockd.domain.matching import CardIds
from dockd.domain.profile import Profile
from dockd.domain.usb import UsbIds
from dockd.edges.control.shape import Document
from dockd.errors import ConfigError, Problem

if TYPE_CHECKING:
    from dockd.edges.control.shape import Json

_USB = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})")
PARTS = ("trigger", "marks", "category", "counter")


def add_arguments(cameras: argparse.ArgumentParser) -> None:
    """Add the verb."""
    verbs = cameras.add_subparsers(metavar="VERB", required=True)
    summary = "Say which profile a device is of, and what it makes of every file of a card. Changes nothing."
    test = verbs.add_parser("test", help=summary, description=summary, epilog=cameras.epilog)
    add = test.add_argument
    add("path", type=Path, metavar="PATH", help="the folder of a card")
    add("--json", action="store_true", help="print JSON")
    add("--usb", type=_usb, metavar="VVVV:PPPP", help="the device's vendor and product, as lsusb shows them")
    add("--serial", default="", metavar="TEXT", help="with --usb: its serial number")
    add("--filesystem", default="", metavar="TYPE", help="with --usb: what its card is formatted with: vfat, exfat")
    add("--label", default="", metavar="TEXT", help="with --usb: the label of its card")
    add("--profile", metavar="NAME", help="take this profile, whatever the device says")
    add(
        "--profiles",
        type=Path,
        action="append",
        metavar="DIR",
        help="read the profiles in this folder (again: and in this one) instead of the station's",
    )
    test.set_defaults(run=see, state=None, socket=None)


def see(_desk: Desk, arguments: argparse.Namespace) -> int:
    """Show what a profile makes of a card: the one that is named, the one that fits, or each of all."""
    # The road of a docked card weighs something: it is built for this command alone.
    from dockd.edges.control import on_desk  # noqa: PLC0415 - the same
    from dockd.edges.profiles import load_profiles  # noqa: PLC0415 - the same

    profiles = load_profiles(arguments.profiles)
    path: Path = arguments.path
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected the folder of a card")
    document: Document = {}
    profile = _named(profiles, arguments.profile)
    if arguments.usb is not None:
        document["match"], fits = _verdict(profiles, arguments)
        profile = profile or fits
    listing = asyncio.run(on_desk.listing_of_folder(path))
    document |= (
        on_desk.survey_document(profiles, listing) if profile is None else on_desk.contents_document(profile, listing)
    )
    if arguments.json:
        print_json(document)
    else:
        _print(document)
    return EX_FAILED if profile is None and arguments.usb is not None else EX_OK


def _usb(text: str) -> tuple[str, str]:
    found = _USB.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected two times 4 hex digits, such as 2672:0049")
    return found[1].lower(), found[2].lower()


def _verdict(profiles: Sequence[Profile], arguments: argparse.Namespace) -> tuple[Document, Profile | None]:
    from dockd.edges.control.on_desk import verdict_document  # noqa: PLC0415 - as above

    vendor, product = arguments.usb
    return verdict_document(
        profiles,
        UsbIds(vendor=vendor, product=product, serial=arguments.serial),
        CardIds(filesystem=arguments.filesystem, label=arguments.label),
    )


def _named(profiles: Sequence[Profile], name: str | None) -> Profile | None:
    if name is None:
        return None
    found = {profile.name: profile for profile in profiles}
    if name not in found:
        expected = f"a profile that there is: {' '.join(found) or 'there is none'}"
        raise ConfigError([Problem(path="--profile", value=repr(name), expected=expected)])
    return found[name]


def _print(document: Document) -> None:
    match = cast("dict[str, Json] | None", document.get("match"))
    if match is not None:
        _print_match(match)
    if "profiles" in document:
        for summary in cast("list[Document]", document["profiles"]):
            _print_summary(summary)
        return
    for file in cast("list[Document]", document["files"]):
        facts = cast("dict[str, str]", file["facts"])
        parts = [f"{part} {facts[part]}" for part in PARTS if facts[part] not in ("unknown", "none")]
        flags = ["urgent"] if file["urgent"] else []
        flags += [] if file["erase"] != "never" else ["never erased"]
        flags += [] if facts["recorded"] == "unknown" else [f"{facts['recorded']} ({facts['recorded_is']})"]
        what = ", ".join([*flags, *parts]) or "nothing known"
        say(f"{facts['role']:<8} {file['recording']:>6}  {file['name']}: {what}")
    _print_summary(document)


def _print_match(match: Document) -> None:
    possible = ", ".join(cast("list[str]", match["possible"]))
    card = f" with {match['filesystem'] or 'a card of unknown format'}, label {match['label'] or 'unknown'}"
    if match["fits"]:
        say(f"{match['device']}{card}: is {match['fits']}")
    elif match["several"]:
        several = " and ".join(cast("list[str]", match["several"]))
        say(f"{match['device']}{card}: fits {several}: it would be left alone, until only one does")
    elif possible:
        say(f"{match['device']}{card}: unknown, and would be left alone; with another card it can be {possible}")
    else:
        say(f"{match['device']}: unknown, its port would stay unauthorised; a profile with these ids makes it known")


def _print_summary(summary: Document) -> None:
    say(f"{summary['profile']}: {summary['about']}")
    say(
        f"  {summary['clips']} clips, {summary['sidecars']} sidecars, {summary['strangers']} strangers,"
        f" {summary['recordings']} recordings; {summary['urgent']} files urgent"
    )
    times = cast("dict[str, int]", summary["times"])
    if times:
        say(f"  times, clock in {summary['zone']}: {', '.join(f'{count} {name}' for name, count in times.items())}")
    counters = cast("dict[str, Json] | None", summary["counters"])
    if counters is not None:
        say(f"  counted from {counters['first']} to {counters['last']}: {counters['missing']} between are not here")
    say(f"  erase: {summary['erase']}; battery: {summary['battery']}")
