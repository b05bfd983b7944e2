"""What profiles make of a card on a desk, as JSON documents: listed as a station would list it, and changed in nothing.

Owns the listing of a folder without a station, and names on that wire. No daemon and no state is needed.
"""

import base64
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dockd.app.ports import Attached
from dockd.domain.contents import Contents, Role, contents_of, recordings
from dockd.domain.facts import facts_of
from dockd.domain.matching import CardIds, Fits, Several, Unknown, possible, profile_of
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, Listing
from dockd.domain.profile import Profile
from dockd.domain.usb import UsbIds
from dockd.edges.card import FolderCards
from dockd.edges.control.documents import name_text
from dockd.edges.control.shape import Document


async def listing_of_folder(path: Path) -> Listing:
    """List a folder by the road of a docked card, which never follows a link and never leaves it (I7).

    Raises:
        ListingError: it holds what no card of a camera does, or cannot be listed whole.
        TransientError: it hangs.

    """
    camera = Camera(serial=CameraSerial("on-desk"), volume=FOLDER_VOLUME)
    with tempfile.TemporaryDirectory(prefix="dockd-") as spool:
        attached = Attached(bay=BayId(1), camera=camera, source=str(path))
        card = await FolderCards(Path(spool), erase=False).open(attached)
        try:
            return await card.listing()
        finally:
            await card.close()


def verdict_document(profiles: Sequence[Profile], usb: UsbIds, card: CardIds) -> tuple[Document, Profile | None]:
    """Say which profile a device is of, and give it; `possible` are those that its USB ids allow."""
    verdict = profile_of(profiles, usb, card)
    fits: Profile | None = None
    several: tuple[str, ...] = ()
    match verdict:
        case Fits(profile=profile):
            fits = profile
        case Several(names=names):
            several = names
        case Unknown():
            pass
    document: Document = {
        "device": str(usb),
        "filesystem": card.filesystem,
        "label": card.label,
        "possible": [profile.name for profile in possible(profiles, usb)],
        "fits": fits.name if fits is not None else None,
        "several": [*several],
    }
    return document, fits


def contents_document(profile: Profile, listing: Listing) -> Document:
    """Show what a profile makes of a listing: every file, and counts."""
    contents = contents_of(profile, listing)
    numbers = {group: number for number, group in enumerate(recordings(contents), start=1)}
    return {
        **summary_document(profile, contents),
        "files": [
            {
                "name": name_text(known.file.path),
                "name_base64": base64.b64encode(known.file.path).decode("ascii"),
                "length_bytes": known.file.length_bytes,
                "mtime_ns": known.file.mtime_ns,
                "recording": numbers[known.group],
                "urgent": known.urgent,
                "erase": known.erase.value,
                "facts": {**facts_of(known, profile)},
            }
            for known in contents.files
        ],
    }


def survey_document(profiles: Sequence[Profile], listing: Listing) -> Document:
    """Show in counts what each of several profiles would make of a listing."""
    return {"profiles": [summary_document(profile, contents_of(profile, listing)) for profile in profiles]}


def summary_document(profile: Profile, contents: Contents) -> Document:
    """Count the files of a card by what a profile makes of them; `counters` are null where it does not count."""
    roles = Counter(known.role for known in contents.files)
    times = Counter(known.start.standing.value for known in contents.files if known.start is not None)
    run = contents.run
    return {
        "profile": profile.name,
        "about": profile.about,
        "erase": profile.erase.value,
        "battery": profile.battery.value,
        "zone": profile.zone.name,
        "clips": roles[Role.CLIP],
        "sidecars": roles[Role.SIDECAR],
        "strangers": roles[Role.STRANGER],
        "recordings": len(recordings(contents)),
        "urgent": sum(known.urgent for known in contents.files),
        "times": {standing: times[standing] for standing in sorted(times)},
        "counters": None
        if run is None
        else {"first": name_text(run.first), "last": name_text(run.last), "missing": run.missing},
    }
