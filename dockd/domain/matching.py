"""Which profile a device is of, by what it says of itself: first its USB ids, and its card's format and label later.

Owns that decision. All of it is claims: a profile that fits lets a device be read, and proves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dockd.domain.naming import glob_matches
from dockd.domain.profile import Match, Profile
from dockd.domain.usb import UsbIds


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIds:
    """What a card says it is: udev's ID_FS_TYPE and ID_FS_LABEL, empty where it says nothing."""

    filesystem: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """It is such a camera."""

    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No profile is of such a device: it is left alone, and people are told its ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Several profiles fit, and they may disagree on how it is erased: it is left alone, as if it were unknown."""

    names: tuple[str, ...]


Verdict = Fits | Unknown | Several


def possible(profiles: Iterable[Profile], usb: UsbIds) -> tuple[Profile, ...]:
    """Give the profiles that a device can be of by its USB ids alone: with none its port stays unauthorised."""
    return tuple(profile for profile in profiles if any(_usb_fits(match, usb) for match in profile.matches))


def profile_of(profiles: Iterable[Profile], usb: UsbIds, card: CardIds) -> Verdict:
    """Say which profile a device with this card is of."""
    fit = [
        profile
        for profile in profiles
        if any(_usb_fits(match, usb) and _card_fits(match, card) for match in profile.matches)
    ]
    if not fit:
        return Unknown()
    return Fits(profile=fit[0]) if len(fit) == 1 else Several(names=tuple(sorted(profile.name for profile in fit)))


def knows(profiles: Iterable[Profile], usb: UsbIds, card: CardIds | None) -> bool:
    """Say whether a device may be let in: by its USB ids alone while there is no card, by exactly one profile then."""
    known = tuple(profiles)
    return bool(possible(known, usb)) if card is None else isinstance(profile_of(known, usb, card), Fits)


def _usb_fits(match: Match, usb: UsbIds) -> bool:
    return (
        match.vendor == usb.vendor.lower()
        and match.product in (None, usb.product.lower())
        and (match.serial is None or glob_matches(match.serial, usb.serial))
    )


def _card_fits(match: Match, card: CardIds) -> bool:
    return match.filesystem in (None, card.filesystem) and (
        match.label is None or glob_matches(match.label, card.label)
    )
