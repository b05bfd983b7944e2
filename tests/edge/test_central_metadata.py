"""What the reference store requires of a declaration: wrong ones, refused with key, value and expectation."""

import base64
from pathlib import Path

import pytest

from dockd.central.declaration import DeclarationError, declare
from tests.central_parts import Sample, Tus, central

GOOD = Sample().metadata
LENGTH = 8
OTHER_ID = "0" * 64

WRONG: list[tuple[str, dict[str, str | None], str]] = [
    ("clip_id missing", {"clip_id": None}, "clip_id: '(missing)': expected 64 lower-case hex digits"),
    ("clip_id short", {"clip_id": "ab"}, "clip_id: 'ab': expected 64 lower-case hex digits"),
    ("clip_id upper case", {"clip_id": "A" * 64}, "expected 64 lower-case hex digits"),
    ("clip_id of another", {"clip_id": OTHER_ID}, f"clip_id: '{OTHER_ID}': expected {GOOD['clip_id']}, from serial"),
    ("station missing", {"station": None}, "station: '(missing)': expected 1 to 256 printable ASCII characters"),
    ("station empty", {"station": ""}, "station: '': expected 1 to 256"),
    ("station with a newline", {"station": "a\nb"}, "station: 'a\\nb': expected 1 to 256"),
    ("serial missing", {"serial": None}, "serial: '(missing)'"),
    ("serial not ASCII", {"serial": "caf\u00e9"}, "serial: 'caf\u00e9': expected"),
    ("serial of another", {"serial": "CAM0002"}, "clip_id: "),
    ("serial with a torn escape", {"serial": "CAM\\x"}, "serial, volume: 'CAM\\\\x folder': expected ASCII with"),
    ("serial with half a surrogate", {"serial": "\\ud800"}, "serial, volume: "),
    ("volume missing", {"volume": None}, "volume: '(missing)'"),
    ("volume of another", {"volume": "1234-ABCD"}, "clip_id: "),
    ("length missing", {"length": None}, "length: '(missing)'"),
    ("length other than Upload-Length", {"length": "9"}, "length: '9': expected 8, as Upload-Length says"),
    ("length with a zero in front", {"length": "08"}, "length: '08': expected 8"),
    ("sha256 missing", {"sha256": None}, "sha256: '(missing)'"),
    ("sha256 in base64", {"sha256": "q" * 43 + "="}, "sha256: "),
    ("name missing", {"name": None}, "name: '(missing)': expected the base64 of the clip's path (or name_cut=yes)"),
    ("name not base64", {"name": "DCIM/1.MP4"}, "name: 'DCIM/1.MP4': expected the base64"),
    ("name of another", {"name": base64.b64encode(b"b").decode()}, "clip_id: "),
    (
        "a fact not ASCII",
        {"category": "caf\u00e9"},
        "category: 'caf\u00e9': expected 1 to 256 printable ASCII",
    ),
    ("a fact with an escape", {"recorded": "\x1b[31m"}, "recorded: '\\x1b[31m': expected 1 to 256"),
    ("a fact too long", {"marks": "x" * 257}, "marks: 'xxx"),
    ("a fact that is empty", {"battery": ""}, "battery: '': expected 1 to 256"),
    ("name_cut with another value", {"name_cut": "no", "clip_id": OTHER_ID}, "clip_id: "),
]


@pytest.mark.parametrize(
    ("change", "words"), [(change, words) for _, change, words in WRONG], ids=[w[0] for w in WRONG]
)
def test_a_wrong_declaration_is_refused_with_its_key_value_and_expectation(
    change: dict[str, str | None], words: str
) -> None:
    merged = {**GOOD, **change}
    metadata = {key: value for key, value in merged.items() if value is not None}
    with pytest.raises(DeclarationError) as refusal:
        declare(metadata, upload_length_bytes=LENGTH)
    assert words in str(refusal.value)


def test_what_a_profile_read_is_taken_as_it_is_and_so_is_what_no_version_knows_yet() -> None:
    told = {"recorded": "2024-10-27T01:30:00", "recorded_is": "twice", "marks": "none", "weather": "\u2614"}
    assert declare({**GOOD, **told}, upload_length_bytes=LENGTH).metadata == GOOD | told


def test_a_camera_with_odd_names_is_recognised_by_its_escapes() -> None:
    odd = Sample(serial="caf\u00e9 \\ 9\n", volume="\u00fc")
    escaped = {**odd.metadata, "serial": "caf\\xe9 \\\\ 9\\n", "volume": "\\xfc"}
    assert declare(escaped, upload_length_bytes=LENGTH).clip_id == odd.clip_id


async def test_a_refused_declaration_leaves_nothing(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        wrong = await tus.create(sample, metadata={**sample.metadata, "clip_id": OTHER_ID})
        none = await tus.ask("POST", "/files/", headers={"Upload-Length": "8"})
        doubled = await tus.create(sample, headers={"Upload-Metadata": "a YQ==,a YQ=="})
        binary = await tus.create(sample, headers={"Upload-Metadata": "a /w=="})
        assert (await tus.create(sample)).offset == 0
    assert wrong.status == none.status == doubled.status == binary.status == 400
    assert wrong.headers["Content-Type"].startswith("text/plain")
    assert wrong.text.startswith(f"clip_id: '{OTHER_ID}': expected {sample.clip_id}")
    assert none.text.startswith("clip_id: '(missing)'")
    assert "each key once" in doubled.text
    assert "base64 of UTF-8 text" in binary.text
