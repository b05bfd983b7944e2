"""The table that a file of hw/cameras/ is: names, types and ranges.

Owns what each value for itself must look like, and the values of one file against each other. What they mean is
`dockd.domain.profile`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from dockd.config.single import Settings
from dockd.config.tables import Label
from dockd.config.wording import MISSING, Finding, listed, shown
from dockd.domain.naming import Template, glob_problem, template_of
from dockd.domain.profile import BatterySource, EraseMethod, Filesystem, Mark, Trigger

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_USB_ID = re.compile(r"[0-9a-f]{4}")
_EXTENSION = re.compile(r"[A-Z0-9]{1,8}")
_WORD = re.compile(r"[A-Z0-9_]{1,16}")
_FIELD = re.compile(r"counter|folder|chapter|type|[YMDhms]")


def _name(value: str) -> str | None:
    return None if _NAME.fullmatch(value) else "a name of 1 to 32 of the characters a-z, 0-9 and '-'"


def _usb_id(value: str) -> str | None:
    return None if _USB_ID.fullmatch(value) else "4 hex digits as lsusb shows them, such as 2672"


def _extension(value: str) -> str | None:
    return None if _EXTENSION.fullmatch(value) else "an extension in capitals, such as MP4"


def _word(value: str) -> str | None:
    return None if _WORD.fullmatch(value) else "1 to 16 of the characters A-Z, 0-9 and '_'"


def _field(value: str) -> str | None:
    return (
        None if _FIELD.fullmatch(value) else "a field of the paths: counter, folder, chapter, type, Y, M, D, h, m or s"
    )


def _path(value: str) -> str | None:
    read = template_of(value)
    return read if isinstance(read, str) else None


Name = Annotated[str, Meta(extra={"rule": _name})]
UsbId = Annotated[str, Meta(extra={"rule": _usb_id})]
Glob = Annotated[str, Meta(extra={"rule": glob_problem})]
Extension = Annotated[str, Meta(extra={"rule": _extension})]
Word = Annotated[str, Meta(extra={"rule": _word})]
PathText = Annotated[str, Meta(extra={"rule": _path})]
FieldName = Annotated[str, Meta(extra={"rule": _field})]
Number = Annotated[int, Meta(ge=0, le=10**9)]


class ProfileTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tables of a profile have in common."""


class MatchTable(ProfileTable, frozen=True, kw_only=True):
    """What a device says of itself, all of it to hold."""

    vendor: UsbId
    product: UsbId | None = None
    serial: Glob | None = None
    filesystem: Filesystem | None = None
    label: Glob | None = None


class SidecarTable(ProfileTable, frozen=True, kw_only=True):
    """Files that belong to a clip, and what their being there says."""

    extension: Extension
    marks: tuple[Mark, ...] = ()


class TypeTable(ProfileTable, frozen=True, kw_only=True):
    """What a word of `{type}` says."""

    text: Word
    marks: tuple[Mark, ...] = ()
    trigger: Trigger = Trigger.UNKNOWN
    category: Label | None = None


class CountingTable(ProfileTable, frozen=True, kw_only=True):
    """How files are counted, and folders of them."""

    first: Number
    last: Number
    folder_first: Number = 0
    folder_last: Number = 0


class CameraTable(ProfileTable, frozen=True, kw_only=True):
    """One kind of camera. `like` names the profile whose settings stand where this one has none."""

    name: Name
    about: Label
    like: Name | None = None
    match: Annotated[tuple[MatchTable, ...], Meta(min_length=0, max_length=64)] = ()
    paths: tuple[PathText, ...] = ()
    clips: tuple[Extension, ...] = ()
    sidecars: Annotated[tuple[SidecarTable, ...], Meta(min_length=0, max_length=64)] = ()
    types: Annotated[tuple[TypeTable, ...], Meta(min_length=0, max_length=64)] = ()
    trigger: Trigger = Trigger.UNKNOWN
    recording: tuple[FieldName, ...] = ()
    counting: CountingTable | None = None
    zone: str = "unknown"
    battery: BatterySource = BatterySource.UNKNOWN
    erase: EraseMethod = EraseMethod.NEVER


def between(settings: Settings) -> Iterator[Finding]:
    """Give what the settings of one profile, each fit for itself, say against each other."""
    yield from _matches(settings)
    yield from _once(settings)
    templates = [read for text in _list(settings, "paths") if isinstance(read := template_of(str(text)), Template)]
    yield from _names(settings, templates)
    counting = settings.get("counting")
    for low, high in (("first", "last"), ("folder_first", "folder_last")):
        if isinstance(counting, dict) and counting.get(high, 0) < counting.get(low, 0):
            path = ("counting", high)
            yield Finding(path=path, value=str(counting.get(high, 0)), expected=f"at least {low}, {counting[low]}")


def _matches(settings: Settings) -> Iterator[Finding]:
    for index, match in enumerate(_tables(settings, "match")):
        if "product" not in match and "serial" not in match:
            # Chips of one vendor are in sticks, keyboards and cameras alike.
            value, expected = f"vendor {match['vendor']} alone", "product or serial beside vendor, or both"
            yield Finding(path=("match", index), value=value, expected=expected)


def _once(settings: Settings) -> Iterator[Finding]:
    for array, key in (("sidecars", "extension"), ("types", "text")):
        first: dict[object, int] = {}
        for index, table in enumerate(_tables(settings, array)):
            if table[key] in first:
                expected = f"another {key}: {array}[{first[table[key]]}] has this one"
                yield Finding(path=(array, index, key), value=shown((key,), table[key]), expected=expected)
            first.setdefault(table[key], index)
    for index, table in enumerate(_tables(settings, "sidecars")):
        if table["extension"] in _list(settings, "clips"):
            path = ("sidecars", index, "extension")
            yield Finding(path=path, value=shown(path, table["extension"]), expected="an extension that clips has not")


def _names(settings: Settings, templates: list[Template]) -> Iterator[Finding]:
    if bool(templates) != bool(_list(settings, "clips")):
        lacks, has = ("paths", "clips") if not templates else ("clips", "paths")
        yield Finding(path=(lacks,), value=MISSING, expected=f"both paths and clips, since there are {has}")
    if not templates and settings.get("erase", EraseMethod.NEVER.value) != EraseMethod.NEVER.value:
        expected = '"never" without paths and clips: only a file whose name is known is ever erased'
        yield Finding(path=("erase",), value=shown(("erase",), settings["erase"]), expected=expected)
    for index, name in enumerate(_list(settings, "recording")):
        lacking = [template.text for template in templates if name not in template.fields]
        if lacking or not templates:
            expected = f"a field of every path{', which is not in ' + listed(lacking) if lacking else ''}"
            yield Finding(path=("recording", index), value=shown(("recording",), name), expected=expected)
    fields = {name for template in templates for name in template.fields}
    for key, name in (("types", "type"), ("counting", "counter")):
        if settings.get(key) and name not in fields:
            yield Finding(path=(key,), value=shown((key,), settings[key]), expected=f"a path with {{{name}}}")


def _tables(settings: Settings, name: str) -> list[Mapping[str, object]]:
    return [table for table in _list(settings, name) if isinstance(table, dict)]


def _list(settings: Settings, name: str) -> list[object]:
    found = settings.get(name, [])
    return found if isinstance(found, list) else []
