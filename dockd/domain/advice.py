"""What a reason means for people: what happened, what the officer does with the camera, what IT does.

Owns the words. Knows nothing of the case: its particulars stand beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dockd.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One reason in words. No advice ever is to erase, to format or to repair a card."""

    words: str
    officer: str
    it: str


_KEEP = "Leave the camera in its bay and take another; it keeps everything it has recorded."
_GO = "Nothing: the lamp of the bay says whether the camera may be taken."
_RETRY = "dockctl quarantine retry tries it again."

ADVICE: Mapping[Reason, Advice] = MappingProxyType(
    {
        Reason.AUTH: Advice(
            words="the store does not let this station in",
            officer=_GO,
            it="Give the station a valid token or certificate; uploads go on by themselves.",
        ),
        Reason.DNS: Advice(
            words="the store's name is not found",
            officer=_GO,
            it="Check the name server and the store's address; uploads go on by themselves.",
        ),
        Reason.TLS: Advice(
            words="the store's identity cannot be verified, so nothing is sent",
            officer=_GO,
            it="Check the certificates at both ends, and who stands between them; uploads go on by themselves.",
        ),
        Reason.CLOCK: Advice(
            words="this station's clock is wrong, so certificates cannot be checked",
            officer=_GO,
            it="Set the clock, and see that the station reaches its time server.",
        ),
        Reason.DISK: Advice(
            words="the station's own disk gives errors",
            officer="Leave the camera in its bay: it still holds what was not copied.",
            it="Look at the station's disk and change it if it fails; the cameras and the store hold the clips.",
        ),
        Reason.DISK_FULL: Advice(
            words="the station's disk is full, so copying stands still",
            officer="Leave the camera in its bay, or dock it at another station.",
            it="See that uploads go on: room is made as clips are receipted. Never delete from the spool by hand.",
        ),
        Reason.HASH: Advice(
            words="the same file was read twice and was not the same",
            officer=_KEEP,
            it=f"Suspect the card, its contacts or the station's disk. Try another bay; {_RETRY}",
        ),
        Reason.USB: Advice(
            words="the camera does not answer, or answers and breaks off",
            officer="Take the camera out and dock it again, best in another bay. If it stays red, hand it to IT.",
            it="Try another bay and another cable; if it is always this camera, read its card on a desk: dockd ingest.",
        ),
        Reason.POWER: Advice(
            words="the station has too little power, or a bay draws too much of it or is too hot",
            officer="Leave the camera in its bay and take another one; it keeps everything it has recorded.",
            it="Check the supply, or the bay and its camera: the detail says what was measured. A bay that was cut is "
            "tried again once it has cooled, or ten minutes after it drew too much; the third time, when dockd is "
            "started anew.",
        ),
        Reason.STORE: Advice(
            words="the store does not take the clip, or lost it again and again",
            officer=_GO,
            it=f"Look at the store and its log. The copy stays here until then; {_RETRY}",
        ),
        Reason.NETWORK: Advice(
            words="the store is not reached",
            officer=_GO,
            it="Check the line; uploads go on by themselves.",
        ),
        Reason.RECEIPT: Advice(
            words="the store's receipt is missing, or is not to be believed",
            officer=_GO,
            it="Compare the store's receipt key with the one pinned here, and ask who changed either. "
            "dockctl quarantine release asks the store anew.",
        ),
        Reason.REFUSED: Advice(
            words="what was asked was refused: by the store, or by the card at erasing",
            officer=_GO,
            it=f"The detail says who refused and why. Once that is mended: {_RETRY}",
        ),
        Reason.LISTING: Advice(
            words="the card cannot be listed to its end, so nothing on it is touched",
            officer=_KEEP,
            it="Dock it in another bay. If it stays so, secure the card as it is and have it imaged; never repair it.",
        ),
        Reason.STRUCTURE: Advice(
            words="the card's file system does not hold together, so nothing on it is touched",
            officer=_KEEP,
            it="Secure the card as it is and have it imaged: the detail says which file to look at. Never repair it.",
        ),
        Reason.DUPLICATE_NAME: Advice(
            words="the card has one name twice, so one file hides another; nothing on it is touched",
            officer=_KEEP,
            it="Secure the card as it is and have it imaged: its file system is damaged. Never repair it.",
        ),
        Reason.DUPLICATE_CAMERA: Advice(
            words="two cameras in this station call themselves the same",
            officer="Leave both cameras; show them to IT.",
            it="Take one of the two out: the other one is then worked on. Give one of them another serial.",
        ),
        Reason.GROWING: Advice(
            words="the camera is still writing this file",
            officer="Stop the recording and leave the camera in its bay.",
            it="If it never ends, the camera hangs: have it restarted as its maker says.",
        ),
        Reason.UNREADABLE: Advice(
            words="the card gives errors for this file; what could be read of it is salvaged",
            officer=_KEEP,
            it=f"Secure the card and have it imaged. The salvaged copy goes to the store with its gaps named; {_RETRY}",
        ),
        Reason.MQTT: Advice(
            words="the message broker is not reached, so nobody hears of events",
            officer=_GO,
            it="Look at the broker and at this station's credentials there; clips are not affected.",
        ),
        Reason.UNKNOWN_DEVICE: Advice(
            words="this station does not know what is in the bay, so nothing on it is touched",
            officer="Leave it in its bay and ask IT; if it is a camera, it keeps everything it has recorded.",
            it="The detail says what it calls itself and what is odd about it. A camera needs a profile that knows it; "
            "take out what is none.",
        ),
        Reason.MISSING: Advice(
            words="the file was seen on the camera before it was copied, and is gone, or is another one now",
            officer="Hand the camera in as it is, and say whether anything was done to it since its last docking.",
            it="Find out who had the camera, and whether its card was changed. A card that turns up is docked, or read "
            "by dockd ingest.",
        ),
    }
)
"""Every reason there is."""
