"""Names that a camera chose, of any bytes: whole on every road, and no control character of one reaches a terminal."""

import argparse
import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from dockd.app.uplink import UplinkView
from dockd.app.view import BayView, StationView
from dockd.copier.file import shown as copier_shown
from dockd.ctl import looking
from dockd.domain.bay import Tally, Work
from dockd.domain.lamps import Lamp
from dockd.domain.listing import kind_of, listing_of, recording_of, tags_of
from dockd.domain.metadata import MAX_NAME_BYTES, camera_of, metadata_header, metadata_of, metadata_sha256, name_of
from dockd.domain.model import (
    BayId,
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    ListedFile,
    Sha256,
    StationId,
    VolumeId,
    clip_id_of,
)
from dockd.edges.control.documents import clip_document
from dockd.edges.control.live import bay_document, status_document
from dockd.edges.control.shape import Document
from dockd.edges.copier_process import At, Failed, Found, OnDisk, _parse
from dockd.errors import DockdError, ListingError, Reason
from dockd.screen import Changes, show_name, show_text
from dockd.tus.headers import parse_metadata

NASTY = [
    b"\n", b"\r", b"\x1b[2J", b"\x1b]0;x\x07", b"<script>alert(1)</script>", b"&amp;", b"..", b"/", b"\\", b"\xff\xfe",
    "\u202egpj".encode(), "\u2066".encode(), "\ufeff".encode(), b"\xed\xa0\x80", b"\xc0\xaf", b"\x9b31m",
    b"\xc2\x9b31m",
    b"$(id)", b"`id`", b"-rf", b"%s%n", b"\x00", b"\x7f", b"a" * 255, "\U0001f4f9".encode(), b"[bold]",
    b"CON", b" ", b".",
]  # fmt: skip
paths = st.lists(st.sampled_from(NASTY) | st.binary(max_size=12), min_size=1, max_size=12).map(b"".join).filter(
    bool
) | st.binary(min_size=4000, max_size=4200)
texts = st.lists(st.sampled_from(NASTY).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(max_size=8),
                 max_size=6).map("".join) | st.text(st.characters(), max_size=10)  # fmt: skip
STATION = StationId("north-1")


def clip(path: bytes, camera: Camera, *, detail: str = "") -> Clip:
    """Give a copied clip of such names."""
    sha256 = Sha256("5" * 64)
    return Clip(
        key=ClipKey(1),
        docking=DockingId(1),
        camera=camera,
        path=path,
        length_bytes=10,
        mtime_ns=0,
        state=ClipState.HELD,
        kind=ClipKind.VIDEO,
        recording_id="0" * 32,
        sha256=sha256,
        clip_id=clip_id_of(camera=camera, path=path, length_bytes=10, sha256=sha256),
        reason=Reason.STORE,
        detail=detail,
    )


def camera(serial: str, volume: str) -> Camera:
    """Give a camera of such names."""
    return Camera(serial=CameraSerial(serial), volume=VolumeId(volume), model=serial, firmware=volume)


def harmless(text: str) -> bool:
    """Say that a terminal shows a text and does nothing else, line ends aside."""
    text.encode("utf-8")
    return all(line.isprintable() for line in text.split("\n"))


@given(st.lists(paths, max_size=6))
def test_a_listing_of_any_names_is_ordered_whole_and_has_each_once(names: list[bytes]) -> None:
    files = [ListedFile(path=path, length_bytes=number, mtime_ns=-number) for number, path in enumerate(names)]
    if len({*names}) < len(names):
        with pytest.raises(ListingError) as caught:
            listing_of(files)
        assert harmless(str(caught.value))
        return
    listing = listing_of(files)
    assert [file.path for file in listing.files] == sorted(names)
    for file in listing.files:
        assert kind_of(file.path) in ClipKind
        assert isinstance(tags_of(file), frozenset)
        assert len(recording_of(serial="s", volume="v", path=file.path)) == 32


@pytest.mark.promise("I10")
@given(paths, texts, texts)
def test_the_store_is_told_any_name_in_ascii_and_reads_it_back_whole(path: bytes, serial: str, volume: str) -> None:
    try:
        told = metadata_of(clip(path, camera(serial, volume)), station=STATION)
    except UnicodeEncodeError:
        assert not encodable(serial + volume)  # a lone surrogate that stands for no byte: no kernel gives such a name
        return
    header = metadata_header(told)
    assert header.isascii()
    assert header.isprintable()
    assert len(header) < 16_000
    read = parse_metadata(header)
    assert read == told
    assert name_of(read) == path[-MAX_NAME_BYTES:]
    if serial and volume:
        assert (camera_of(read).serial, camera_of(read).volume) == (serial, volume)
    assert metadata_sha256(read) == metadata_sha256(told)


def encodable(text: str) -> bool:
    """Say whether a text can be one that bytes were made into."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


@given(paths, paths, texts.filter(encodable))
def test_two_names_are_two_clips(one: bytes, other: bytes, serial: str) -> None:
    ids = {clip_id_of(camera=camera(serial, "V"), path=path, length_bytes=1, sha256=Sha256("0" * 64))
           for path in (one, other)}  # fmt: skip
    assert len(ids) == len({one, other})


# --- what is shown ------------------------------------------------------------------------------------------------


class Desk:
    """A desk that answers with what it was given."""

    def __init__(self, clip_: Clip, view: StationView) -> None:
        """Take one clip and one view."""
        self._clip, self._view = clip_, view

    def status(self) -> Document:
        """Give the station on one screen."""
        alarms: Document = {"quarantine": {"clips": 1, "cameras": 1}, "continues": self._clip.detail}
        return status_document(self._view) | alarms

    def rows(self, question: str, **_filters: str | None) -> Iterator[Document]:
        """Give every row, as it comes through JSON."""
        if question == "bays":
            rows = [bay_document(bay, name="") for bay in self._view.bays]
        else:
            rows = [clip_document(self._clip)]
        return iter(json.loads(json.dumps(rows)))

    def verify(self, **_known: object) -> Document:
        """Give what a check found."""
        counts: Document = {"entries": 1, "clips": 1, "receipts": 0, "signatures": "checked", "compared": 0}
        strays: Document = {"copies": 1, "bytes": 1}
        return {**counts, "continues": self._clip.detail, "strays": strays, "problems": [self._clip.detail]}


def view_of(camera_: Camera, detail: str) -> StationView:
    """Give a station of one bay with such a camera, and such words of trouble."""
    bay = BayView(
        number=BayId(1), phase="fault", lamp=Lamp.LEAVE, camera=camera_, docking=DockingId(1), work=Work(files=1),
        charge_pct=None, minutes=None, underway=None, reason=Reason.USB, detail=detail,
    )  # fmt: skip
    uplink = UplinkView(
        reason=Reason.STORE, detail=detail, failures=1, failing_s=1.0, sending={}, verifying_files=0, overdue_files=0
    )
    return StationView(
        station=STATION, bays=(bay,), uplink=uplink, backlog=Tally(files={}, bytes_={}), spool_full=detail
    )


@pytest.mark.promise("I16")
@settings(max_examples=150)
@given(path=paths, serial=texts, detail=texts, as_json=st.booleans())
def test_no_control_character_of_a_name_reaches_a_terminal(
    *, path: bytes, serial: str, detail: str, as_json: bool
) -> None:
    assert harmless(show_name(path))
    assert "\n" not in show_name(path) + show_text(serial) + copier_shown(path)
    assert harmless(copier_shown(path))
    camera_ = camera(serial if encodable(serial) else "S", "V")
    view = view_of(camera_, detail)
    assert all(harmless(line) and "\n" not in line for line in Changes().lines(view))
    desk = Desk(clip(path, camera_, detail=detail), view)
    for command in ("status", "bays", "clips", "verify"):
        with pytest.MonkeyPatch.context() as patch:
            said: list[str] = []
            patch.setattr("builtins.print", lambda *words, end="\n", to=said: to.append(" ".join(words) + end))
            arguments = argparse.Namespace(json=as_json, in_state=None, camera=None, clip_id=None, receipts=None)
            getattr(looking, command)(desk, arguments)
        words = "".join(said)
        assert harmless(words), words
        if as_json:
            assert isinstance(json.loads(words), dict)
        else:
            assert words.count("\n") <= 12


# --- the copier's pipe --------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["at", "on", "files", "error", "say", "done", "clip_id", "sha256", "length", "mtime_ns", "uncached", "gaps",
         "structure", "behind"]) | texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.tuples(paths, st.integers(0, 2**63), st.integers(-(2**63), 2**63)), max_size=5))
def test_any_name_goes_through_the_copiers_pipe_whole(files: list[tuple[bytes, int, int]]) -> None:
    packed = [(base64.b64encode(path).decode("ascii"), length, mtime) for path, length, mtime in files]
    found = _parse(json.dumps({"files": packed}).encode("ascii") + b"\n")
    assert isinstance(found, Found)
    assert [(base64.b64decode(path), length, mtime) for path, length, mtime in found.files] == files


some = st.lists(json_values, max_size=3)
shapes = st.one_of(
    *(st.fixed_dictionaries({name: some | json_values}) for name in ("files", "at", "done")),
    st.fixed_dictionaries({"structure": st.dictionaries(texts, json_values), "behind": some}),
    st.fixed_dictionaries({"done": st.fixed_dictionaries(
        {"clip_id": texts, "sha256": texts, "length": st.integers(), "gaps": some})}),
)  # fmt: skip


@settings(max_examples=200)
@given((shapes | json_values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_a_copier_that_says_anything_is_understood_or_lost_and_nothing_else(line: bytes) -> None:
    try:
        said = _parse(line + b"\n")
    except ValueError:
        return
    if isinstance(said, Failed):
        assert isinstance(said.say, str)
    assert not isinstance(said, DockdError | At | OnDisk) or line


def test_a_copier_that_nests_without_end_is_lost() -> None:
    with pytest.raises(ValueError, match="it said"):
        _parse(b"[" * 100_000 + b"\n")


def test_a_salvaged_clip_of_any_name_is_shown_too() -> None:
    one = replace(clip(b"\x1b[2J\n.MP4", camera("S\x1b", "V")), clip_id=ClipId("c" * 64))
    assert r"\x1b[2J\n.MP4" in str(clip_document(one)["name"])
