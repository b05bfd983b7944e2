"""What `dockctl quarantine` may ask for, who asked, and what it never can."""

import os
import pwd
from pathlib import Path

import pytest

from dockd import ctl
from dockd.domain.model import ClipKey, ClipState
from tests.control_parts import ME, Station
from tests.ledger_parts import CAMERA, bring


@pytest.mark.promise("I11")
async def test_a_retry_goes_on_record_under_the_name_of_who_asked(station: Station) -> None:
    said = await station.types("quarantine", "retry", "3", "1", "2", "77")
    assert said.code == ctl.EX_NOINPUT, "one of them is unknown"
    assert said.out.splitlines() == [
        "       3  taken on: its copy here is read now: if that is whole the clip goes on, else it stays in quarantine",
        "       1  waits: its camera is not docked here now: it is tried again by itself when it is",
        "       2  wrong state: is not in quarantine (it is found)",
        "      77  unknown: there is no such number here",
    ]
    await station.becomes(3, ClipState.COPIED)
    shown = await station.types("quarantine", "show", "3")
    assert f"{ME}: left quarantine, to be sent from its copy here" in shown.out


async def test_a_retry_that_could_not_be_done_now_ends_with_1(station: Station) -> None:
    assert (await station.types("quarantine", "retry", "1")).code == ctl.EX_FAILED
    assert (await station.types("quarantine", "retry", "d2")).code == ctl.EX_FAILED
    assert (await station.types("quarantine", "retry", "3")).code == ctl.EX_OK


async def test_a_retry_of_everything_or_of_one_camera(station: Station) -> None:
    nobody = await station.types("quarantine", "retry", "--camera", "NOBODY")
    assert (nobody.code, nobody.out) == (ctl.EX_OK, "nothing is in quarantine\n")
    said = await station.types("quarantine", "retry", "--all", "--json")
    outcomes = {row["number"]: row["outcome"] for row in said.json["results"]}
    assert outcomes == {"d2": "waits", "1": "waits", "3": "taken on"}
    assert said.code == ctl.EX_FAILED
    await station.becomes(3, ClipState.COPIED)
    mine = await station.types("quarantine", "retry", "--camera", CAMERA.serial, "--json")
    assert [row["number"] for row in mine.json["results"]] == ["d2", "1"]


@pytest.mark.parametrize("words", [[], ["1", "--all"], ["--all", "--camera", "X"]])
async def test_a_retry_has_to_say_of_what(station: Station, words: list[str]) -> None:
    said = await station.types("quarantine", "retry", *words)
    assert said.code == 2
    assert "expected numbers, or --all, or --camera SERIAL, and one of these only" in said.err


@pytest.mark.promise("I4", "I18")
async def test_a_release_needs_a_reason_is_on_record_and_silences_the_alarm(station: Station) -> None:
    assert (await station.types("quarantine", "release", "1")).code == 2
    blank = await station.types("quarantine", "release", "1", "--why", "  ")
    assert blank.code == ctl.EX_FAILED
    assert "why: '': expected 1 to 1000 characters: it goes on record" in blank.err
    before = (await station.types("status", "--json")).json
    assert before["quarantine"] == {"clips": 2, "cameras": 1}
    for number in ("1", "d2"):
        said = await station.types("quarantine", "release", number, "--why", "card \x1b[31m imaged, exhibit 7")
        assert said.code == ctl.EX_OK
        assert "it stays in quarantine and on the accounts, and alarms no more" in said.out
    assert (await station.types("status", "--json")).json["quarantine"] == {"clips": 1, "cameras": 0}
    listed = await station.types("quarantine", "list")
    assert rf"[looked at by {ME}: card \x1b[31m imaged, exhibit 7]" in listed.out
    assert (await station.types("quarantine", "release", "3", "--why", "asks the store anew")).code == ctl.EX_OK
    after = await station.types("quarantine", "list", offline=True)
    assert after.code == ctl.EX_OK, "nothing is left that nobody has looked at"
    status = await station.types("status", offline=True)
    assert status.code == ctl.EX_OK
    assert status.out.count("held") == 1, "and it is still counted"


async def test_without_a_daemon_nothing_is_retried_or_released(station: Station) -> None:
    for words in (["retry", "--all"], ["release", "1", "--why", "x"]):
        said = await station.types("quarantine", *words, offline=True)
        assert said.code == ctl.EX_UNAVAILABLE
        assert "expected a running daemon to tell it to (leave --state out)" in said.err
    assert (await station.ledger.clip(ClipKey(1))).acknowledged == ""


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("quarantine/retry", b"{", "expected JSON"),
        pytest.param("quarantine/retry", b"[" * 100_000, "expected JSON", id="nested"),
        ("quarantine/retry", b"[1]", "expected an object with camera, clips, dockings, everything"),
        ("quarantine/retry", b"{}", "expected numbers, or everything, or a camera, and one of these only"),
        ("quarantine/retry", b'{"clips": [1], "why": "x"}', "expected an object with"),
        ("quarantine/retry", b'{"clips": [true]}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"clips": [-1]}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"clips": "1"}', "expected up to 10000 whole numbers"),
        ("quarantine/retry", b'{"everything": 1}', "expected true or false, a serial, and text"),
        ("quarantine/retry", b'{"everything": true, "clips": [1]}', "one of these only"),
        ("quarantine/release", b'{"everything": true, "why": "x"}', "expected an object with clips, dockings, why"),
        ("quarantine/release", b'{"clips": [1]}', "why: '': expected 1 to 1000 characters"),
        ("quarantine/release", b'{"clips": [1], "why": "' + b"x" * 1001 + b'"}', "expected 1 to 1000 characters"),
        ("quarantine/release", b'{"why": "x"}', "one of these only"),
    ],
)
async def test_a_wish_that_is_none_is_refused_and_changes_nothing(
    station: Station, path: str, body: bytes, says: str
) -> None:
    before = await station.ledger.held(after=ClipKey(0), limit=10)
    status, said = await station.posts(f"/v1/{path}", body)
    assert status == 400
    assert says in said
    assert await station.ledger.held(after=ClipKey(0), limit=10) == before


@pytest.mark.promise("I15")
@pytest.mark.parametrize(
    "path", ["erase", "quarantine/erase", "quarantine/delete", "quarantine/hold", "clips", "clip/1", "status", "verify"]
)
async def test_there_is_no_other_wish_to_be_granted(station: Station, path: str) -> None:
    status, _ = await station.posts(f"/v1/{path}", b'{"clips": [1], "why": "x"}')
    assert status in {404, 405}


@pytest.mark.promise("I1", "I15")
async def test_a_receipted_clip_is_out_of_reach_of_every_wish(station: Station) -> None:
    clip = await bring(station.ledger, await station.ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    for words in (["retry", "2"], ["release", "2", "--why", "x"]):
        said = await station.types("quarantine", *words)
        assert said.code == ctl.EX_FAILED
        assert "wrong state: is not in quarantine (it is receipted)" in said.out
    await station.types("quarantine", "retry", "--all")
    assert await station.ledger.clip(ClipKey(2)) == clip


async def test_a_user_without_a_name_is_known_by_number(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert (await station.types("quarantine", "retry", "3")).code == ctl.EX_OK
    shown = await station.types("quarantine", "show", "3")
    assert f"user:uid-{os.getuid()}: left quarantine" in shown.out


def test_an_error_of_the_daemon_is_said_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["quarantine", "retry", "--all", "--socket", str(tmp_path / "none.sock")]) == ctl.EX_UNAVAILABLE
    assert "expected a running dockd there" in capsys.readouterr().err
