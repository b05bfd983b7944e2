"""`dockctl cameras test`: a folder of a card, real profiles of files, the real listing, and no daemon."""

import json
from pathlib import Path

import pytest

from dockd.ctl import EX_CONFIG, EX_FAILED, EX_NOINPUT, EX_OK, main

OWN = """
name = "own"
about = "Own Mk 2"
paths = ["Rec/{Y}{M}{D}-{h}{m}{s}_{type}", "V{counter:3}"]
clips = ["MP4"]
zone = "Europe/London"
battery = "camera"
erase = "unlink"

[counting]
first = 0
last = 999

[[types]]
text = "EVT"
marks = ["evidence-button"]
trigger = "slide"
category = "stop and search"

[[match]]
vendor = "1234"
product = "5678"
filesystem = "exfat"
label = "OWN*"
"""
OTHER = """
name = "other"
about = "Other"

[[match]]
vendor = "1234"
serial = "A-###"
filesystem = "exfat"
"""
FILES = {
    "Rec/20240331-013000_EVT.MP4": b"skipped",
    "Rec/20241027-013000_NOR.MP4": b"twice",
    "V999.MP4": b"",
    "V001.MP4": b"",
    "odd\x1b[2J\nname": b"?",
}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "own.toml").write_text(OWN, encoding="utf-8")
    (folder / "other.toml").write_text(OTHER, encoding="utf-8")
    return folder


def test_a_card_is_told_file_by_file_as_the_profile_that_fits_reads_it(
    card: Path, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ["--usb", "1234:5678", "--serial", "B-1", "--filesystem", "exfat", "--label", "OWN 7"]
    assert main(["cameras", "test", str(card), "--profiles", str(profiles), *ids, "--json"]) == EX_OK
    told = json.loads(capsys.readouterr().out)
    files = told.pop("files")
    assert told == {
        "match": {
            "device": "1234:5678 B-1",
            "filesystem": "exfat",
            "label": "OWN 7",
            "possible": ["own"],
            "fits": "own",
            "several": [],
        },
        "profile": "own",
        "about": "Own Mk 2",
        "erase": "unlink",
        "battery": "camera",
        "zone": "Europe/London",
        "clips": 4,
        "sidecars": 0,
        "strangers": 1,
        "recordings": 5,
        "urgent": 1,
        "times": {"skipped": 1, "twice": 1},
        "counters": {"first": "V999.MP4", "last": "V001.MP4", "missing": 1},
    }
    assert [file["name"] for file in files] == [
        "Rec/20240331-013000_EVT.MP4", "Rec/20241027-013000_NOR.MP4", "V001.MP4", "V999.MP4", "odd\\x1b[2J\\nname",
    ]  # fmt: skip
    first = files[0]
    assert (first["length_bytes"], first["urgent"], first["erase"]) == (7, True, "unlink")
    assert first["facts"]["recorded"] == "2024-03-31T01:30:00"
    assert (first["facts"]["recorded_is"], first["facts"]["recorded_utc"]) == ("skipped", "unknown")
    assert (first["facts"]["marks"], first["facts"]["category"]) == ("evidence-button", "stop and search")
    assert [file["erase"] for file in files] == ["unlink"] * 4 + ["never"]
    assert {path.relative_to(card).as_posix() for path in card.rglob("*") if path.is_file()} == {*FILES}


def test_the_same_in_lines_of_which_none_steers_a_terminal(
    card: Path, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cameras", "test", str(card), "--profiles", str(profiles), "--profile", "own"]) == EX_OK
    assert capsys.readouterr().out.splitlines() == [
        (
            "clip          1  Rec/20240331-013000_EVT.MP4: urgent, 2024-03-31T01:30:00 (skipped), trigger slide,"
            " marks evidence-button, category stop and search"
        ),
        "clip          2  Rec/20241027-013000_NOR.MP4: 2024-10-27T01:30:00 (twice)",
        "clip          3  V001.MP4: counter 1",
        "clip          4  V999.MP4: counter 999",
        "stranger      5  odd\\x1b[2J\\nname: never erased",
        "own: Own Mk 2",
        "  4 clips, 0 sidecars, 1 strangers, 5 recordings; 1 files urgent",
        "  times, clock in Europe/London: 1 skipped, 1 twice",
        "  counted from V999.MP4 to V001.MP4: 1 between are not here",
        "  erase: unlink; battery: camera",
    ]


@pytest.mark.parametrize(
    ("ids", "code", "first"),
    [
        (
            ["1234:5678", "--filesystem", "exfat", "--label", "OWN"],
            EX_OK,
            "1234:5678 with exfat, label OWN: is own",
        ),
        (
            ["1234:5678", "--serial", "A-001", "--filesystem", "exfat", "--label", "OWN"],
            EX_FAILED,
            "1234:5678 A-001 with exfat, label OWN: fits other and own: it would be left alone, until only one does",
        ),
        (
            ["1234:5678", "--serial", "A-001"],
            EX_FAILED,
            (
                "1234:5678 A-001 with a card of unknown format, label unknown: unknown, and would be left alone; with"
                " another card it can be other, own"
            ),
        ),
        (
            ["abcd:5678", "--serial", "\x1b[31m"],
            EX_FAILED,
            ("abcd:5678 \\x1b[31m: unknown, its port would stay unauthorised; a profile with these ids makes it known"),
        ),
    ],
)
def test_a_device_is_told_to_be_known_unknown_or_too_well_known(
    card: Path, profiles: Path, capsys: pytest.CaptureFixture[str], ids: list[str], code: int, first: str
) -> None:
    assert main(["cameras", "test", str(card), "--profiles", str(profiles), "--usb", *ids]) == code
    assert capsys.readouterr().out.splitlines()[0] == first


def test_without_a_device_or_a_name_every_profile_is_counted(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "test", str(card), "--json"]) == EX_OK
    told = json.loads(capsys.readouterr().out)
    shipped = {profile["profile"]: profile["strangers"] for profile in told["profiles"]}
    assert {"dated", "dcf", "generic"} <= shipped.keys()
    assert shipped["generic"] == 5


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "test", str(tmp_path / "none")]) == EX_NOINPUT
    assert "none: expected the folder of a card" in capsys.readouterr().err


@pytest.mark.promise("I7")
def test_a_folder_that_holds_what_no_card_does_is_not_told_in_part(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (card / "link").symlink_to("/etc/passwd")
    assert main(["cameras", "test", str(card), "--profile", "dcf"]) == EX_FAILED
    told = capsys.readouterr()
    assert "link" in told.err
    assert not told.out


def test_a_profile_that_is_not_there_or_not_right_is_refused(
    card: Path, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cameras", "test", str(card), "--profiles", str(profiles), "--profile", "owm"]) == EX_CONFIG
    assert "--profile: 'owm': expected a profile that there is: other own" in capsys.readouterr().err
    (profiles / "own.toml").write_text('name = "own"\n', encoding="utf-8")
    assert main(["cameras", "test", str(card), "--profiles", str(profiles)]) == EX_CONFIG
    assert "own.toml: about: (missing): expected" in capsys.readouterr().err


def test_ids_that_are_none_are_a_matter_of_usage(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["cameras", "test", str(card), "--usb", "1234"])
    assert caught.value.code == 2
    assert "'1234': expected two times 4 hex digits, such as 2672:0049" in capsys.readouterr().err
