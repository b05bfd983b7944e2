"""Files of profiles, as they are shipped and as people get them wrong: read whole, and every problem said at once."""

from pathlib import Path

import pytest

from dockd.domain.contents import Role
from dockd.domain.matching import CardIds, Fits, Unknown, possible, profile_of
from dockd.domain.profile import BatterySource, EraseMethod, Filesystem, Mark, Match, Profile, Trigger
from dockd.domain.recorded import Standing
from dockd.domain.usb import UsbIds
from dockd.edges.profiles import camera_folders, load_profiles
from dockd.errors import ConfigError
from tests.profile_parts import card, known

SHIPPED = camera_folders()[0]
OWN = """
name = "own"
about = "Own Mk 2"
like = "dated"
zone = "Europe/London"

[[match]]
vendor = "1234"
product = "5678"
serial = "EX2-####"
filesystem = "exfat"
label = "EX2*"
"""


def shipped(name: str) -> Profile:
    """Give a profile of this repository."""
    (found,) = (profile for profile in load_profiles([SHIPPED]) if profile.name == name)
    return found


def problems(folder: Path, **files: str) -> list[str]:
    """Write files, and give what is wrong with them, without their folder."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_profiles([SHIPPED, folder])
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_the_shipped_profiles_are_two_families_and_a_cautious_one_and_fit_no_device_by_themselves() -> None:
    profiles = load_profiles([SHIPPED])
    assert [(profile.name, profile.erase) for profile in profiles] == [
        ("dated", EraseMethod.UNLINK),
        ("dcf", EraseMethod.UNLINK),
        ("generic", EraseMethod.NEVER),
    ]
    assert possible(profiles, UsbIds(vendor="2672", product="0049", serial="C1")) == ()


@pytest.mark.parametrize(
    ("name", "path", "role", "raw", "trigger", "marks"),
    [
        ("dcf", b"DCIM/100GOPRO/GX010128.MP4", Role.CLIP, None, Trigger.UNKNOWN, set()),
        ("dcf", b"DCIM/100GOPRO/GL010128.LRV", Role.SIDECAR, None, Trigger.UNKNOWN, set()),
        ("dcf", b"DCIM/999ABCDE/ABCD9999.MOV", Role.CLIP, None, Trigger.UNKNOWN, set()),
        ("dcf", b"DCIM/100GOPRO/VERSION.TXT", Role.STRANGER, None, Trigger.UNKNOWN, set()),
        ("dated", b"AUTOCAPSULE/Recordings/Event/20130501-121010_EVT_D1.avi", Role.CLIP, "2013-05-01T12:10:10",
         Trigger.SENSOR, {Mark.EVENT}),
        ("dated", b"AUTOCAPSULE/Recordings/Normal/20130501-121010_NOR_D1.avi", Role.CLIP, "2013-05-01T12:10:10",
         Trigger.ALWAYS, set()),
        ("dated", b"AUTOCAPSULE/Images/20130501-121010_IMG_C1.jpg", Role.CLIP, "2013-05-01T12:10:10",
         Trigger.BUTTON, set()),
        ("dated", b"BlackVue/Record/20181026_140658_MF.mp4", Role.CLIP, "2018-10-26T14:06:58", Trigger.BUTTON,
         {Mark.EVIDENCE}),
        ("dated", b"BlackVue/Record/20181026_140658_E.3gf", Role.SIDECAR, "2018-10-26T14:06:58", Trigger.SENSOR,
         {Mark.EVENT}),
        ("dated", b"BlackVue/Record/20181026_140658_QF.mp4", Role.CLIP, "2018-10-26T14:06:58", Trigger.UNKNOWN, set()),
        ("generic", b"DCIM/100GOPRO/GX010128.MP4", Role.STRANGER, None, Trigger.UNKNOWN, set()),
    ],
)  # fmt: skip
def test_names_that_makers_print_are_read_as_they_print_them(
    name: str, path: bytes, role: Role, raw: str | None, trigger: Trigger, marks: set[Mark]
) -> None:
    file = known(shipped(name), path)
    assert (file.role, file.trigger, file.marks) == (role, trigger, frozenset(marks))
    assert (file.start.raw if file.start is not None else None) == raw


def test_lenses_and_sidecars_of_one_moment_are_one_recording() -> None:
    paths = [f"BlackVue/Record/20181026_140658_{end}".encode() for end in ("EF.mp4", "ER.mp4", "EF.thm", "E.gps")]
    contents = card(shipped("dated"), *paths, b"BlackVue/Record/20181026_140758_NF.mp4")
    assert len({file.group for file in contents.files}) == 2
    assert [file.urgent for file in contents.files] == [True] * 4 + [False]


def test_a_file_that_is_like_another_brings_its_ids_and_takes_the_rest_over(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    profiles = load_profiles([SHIPPED, tmp_path])
    assert [profile.name for profile in profiles] == ["dated", "dcf", "generic", "own"]
    own = profiles[-1]
    assert own.matches == (
        Match(vendor="1234", product="5678", serial="EX2-####", filesystem=Filesystem.EXFAT, label="EX2*"),
    )
    assert (own.about, own.zone.name, own.battery) == ("Own Mk 2", "Europe/London", BatterySource.CURRENT)
    start = known(own, b"BlackVue/Record/20240331_013000_NF.mp4").start
    assert start is not None
    assert (start.standing, start.raw) == (Standing.SKIPPED, "2024-03-31T01:30:00")
    usb = UsbIds(vendor="1234", product="5678", serial="EX2-0001")
    assert profile_of(profiles, usb, CardIds(filesystem="exfat", label="EX2 7")) == Fits(profile=own)
    assert profile_of(profiles, usb, CardIds(filesystem="vfat", label="EX2 7")) == Unknown()


def test_a_station_s_own_file_stands_before_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "generic.toml").write_text('name = "generic"\nabout = "ours"\n', encoding="utf-8")
    (tmp_path / ".generic.toml.swp").write_text("junk", encoding="utf-8")
    (tmp_path / ".hidden.toml").write_text("junk", encoding="utf-8")
    assert [profile.about for profile in load_profiles([SHIPPED, tmp_path])][-1] == "ours"


def test_a_folder_that_is_not_there_has_no_profiles(tmp_path: Path) -> None:
    assert load_profiles([tmp_path / "none"]) == ()


def test_a_folder_that_cannot_be_read_is_a_problem_and_not_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="file: Not a directory: expected a folder that can be read"):
        load_profiles([file])


@pytest.mark.promise("I6")
@pytest.mark.parametrize("beside", ["", 'filesystem = "vfat"', 'label = "BWC"'])
def test_a_vendor_is_never_enough_to_let_a_device_in(tmp_path: Path, beside: str) -> None:
    """What its card says is known only after it was let in."""
    text = f'name = "own"\nabout = "o"\nlike = "dcf"\n[[match]]\nvendor = "2672"\n{beside}\n'
    assert problems(tmp_path, own=text) == [
        "own.toml: match[0]: vendor 2672 alone: expected product or serial beside vendor, or both"
    ]


BASE = 'name = "own"\nabout = "o"\n'
NAMED = BASE + 'paths = ["V{counter:4}"]\nclips = ["MP4"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = x\n", ":1: column 8: expected TOML (Invalid value)"),
        (
            'about = "o"\n',
            ": name: (missing): expected a name of 1 to 32 of the characters a-z, 0-9 and '-'",
        ),
        ('name = "other"\nabout = "o"\n', ': name: "other": expected "own", as its file has it'),
        (BASE + 'erases = "never"\n', ": erases:"),
        (BASE + 'erase = "rm"\n', ': erase: "rm": expected "unlink", "vendor" or "never"'),
        (
            BASE + 'erase = "unlink"\n',
            ': erase: "unlink": expected "never" without paths and clips: only a file whose name is known is ever',
        ),
        (
            BASE + '[[match]]\nvendor = "0x2672"\n',
            ': match[0].vendor: "0x2672": expected 4 hex digits as lsusb shows them, such as 2672',
        ),
        (
            BASE + '[[match]]\nvendor = "2672"\nserial = "?*"\n',
            ": match[0].serial: \"?*\": expected 1 to 32 printable characters with something besides '*' and '?'",
        ),
        (
            BASE + '[[match]]\nvendor = "2672"\nproduct = "0001"\nfilesystem = "ntfs"\n',
            ': match[0].filesystem: "ntfs": expected "vfat" or "exfat"',
        ),
        (BASE + 'clips = ["MP4"]\n', ": paths: (missing): expected both paths and clips, since there are clips"),
        (
            BASE + 'paths = ["V{counter:4}"]\n',
            ": clips: (missing): expected both paths and clips, since there are paths",
        ),
        (
            BASE + 'paths = ["V{count:4}"]\nclips = ["MP4"]\n',
            ': paths[0]: "V{count:4}": expected fields such as {Y}, {counter:4} or {type}, of 1 to 32',
        ),
        (BASE + 'clips = ["mp4"]\n', ': clips[0]: "mp4": expected an extension in capitals, such as MP4'),
        (
            NAMED + 'recording = ["chapter"]\n',
            ': recording[0]: "chapter": expected a field of every path, which is not in V{counter:4}',
        ),
        (BASE + 'recording = ["counter"]\n', ': recording[0]: "counter": expected a field of every path'),
        (
            NAMED + 'recording = ["any"]\n',
            ': recording[0]: "any": expected a field of the paths: counter, folder, chapter, type, Y, M, D, h, m or s',
        ),
        (NAMED + '[[types]]\ntext = "EVT"\n', ": types: an array of 1: expected a path with {type}"),
        (
            NAMED + '[[types]]\ntext = "evt"\n',
            ": types[0].text: \"evt\": expected 1 to 16 of the characters A-Z, 0-9 and '_'",
        ),
        (
            BASE + 'paths = ["V{h}"]\nclips = ["MP4"]\n[counting]\nfirst = 1\nlast = 2\n',
            ": counting: a table: expected a path with {counter}",
        ),
        (NAMED + "[counting]\nfirst = 2\nlast = 1\n", ": counting.last: 1: expected at least first, 2"),
        (
            NAMED + "[counting]\nfirst = 1\nlast = 2\nfolder_first = 100\n",
            ": counting.folder_last: 0: expected at least folder_first, 100",
        ),
        (
            NAMED + '[[sidecars]]\nextension = "THM"\n[[sidecars]]\nextension = "THM"\n',
            ': sidecars[1].extension: "THM": expected another extension: sidecars[0] has this one',
        ),
        (
            NAMED + '[[sidecars]]\nextension = "MP4"\n',
            ': sidecars[0].extension: "MP4": expected an extension that clips has not',
        ),
        (
            NAMED + '[[sidecars]]\nextension = "THM"\nmarks = ["urgent"]\n',
            ': sidecars[0].marks[0]: "urgent": expected "evidence-button", "event" or "protected"',
        ),
        (
            BASE + 'zone = "Europe/Londen"\n',
            ': zone: "Europe/Londen": expected "UTC", "unknown", or a zone of this system such as "Europe/London"',
        ),
        (BASE + 'zone = "../../etc/passwd"\n', ': zone: "../../etc/passwd": expected "UTC"'),
        (
            BASE + 'like = "dfc"\n',
            "the name of a profile that there is, and that is like no other itself (did you mean dcf?)",
        ),
        (BASE + 'like = "own"\n', ': like: "own": expected the name of a profile that there is'),
        (BASE + "like = 5\n", ": like: 5: expected"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_its_value_and_what_was_expected(
    tmp_path: Path, text: str, said: str
) -> None:
    (first, *others) = problems(tmp_path, own=text)
    assert first.startswith("own.toml:")
    assert said in first
    assert not others


def test_every_problem_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, one='name = "one"\nabout = ""\nbattery = "full"\n', two="x", zero=BASE)
    assert [line.split(":")[0] for line in found] == ["two.toml", "one.toml", "one.toml", "zero.toml"]
