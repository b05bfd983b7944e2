"""What a camera, a store or a damaged ledger chose stays within its line on dockctl's terminal, in every command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd import ctl
from dockd.ctl import command
from dockd.edges.control.shape import Document, Json
from dockd.errors import ConfigError, DockdError, Problem

EVIL = "x\x1b]0;owned\x07\x1b[2J\r\n  0 problems\x9b31m\u202e\udc80"
SHOWN = "x\\x1b]0;owned\\x07\\x1b[2J\\r\\n  0 problems\\x9b31m\\u202e\\udc80"

COUNT: Json = {"files": 1, "bytes": 2}
ADVICE: Document = {"reason": EVIL, "words": EVIL, "officer": EVIL, "it": EVIL, "detail": EVIL, "acknowledged": EVIL}
CLIP: Document = {
    **ADVICE, "number": EVIL, "kind": "clip", "since_utc": EVIL, "camera": EVIL, "volume": EVIL, "name": EVIL,
    "state": EVIL, "assurance": EVIL, "length_bytes": 1, "clip_id": EVIL, "sha256": EVIL, "tags": [EVIL], "gaps": EVIL,
    "bay": 1,
}  # fmt: skip
CASE: Document = {
    **CLIP, "clip": CLIP, "copy_here": True, "unreadable_bytes": 1, "salvaged": [CLIP], "model": EVIL, "firmware": EVIL,
    "clips": [CLIP],
    "dockings": [
        {"docking": EVIL, "attached_utc": EVIL, "listed_utc": EVIL, "ended_utc": EVIL, "bay": EVIL, "files": EVIL,
         "reason": EVIL, "detail": EVIL},
    ],
    "custody": [
        {"seq": EVIL, "utc": EVIL, "actor": EVIL, "words": EVIL,
         "facts": {"reason": EVIL, "detail": EVIL, "why": EVIL, "of": EVIL}},
    ],
}  # fmt: skip
ROWS: dict[str, Document] = {
    "bays": {
        **ADVICE, "bay": 1, "phase": EVIL, "colour": EVIL, "rhythm": EVIL, "camera": EVIL, "kept_files": 1,
        "work": {"receipted_files": 1, "files": 1, "left_files": 1},
    },
    "clips": CLIP,
    "receipts": {"clip_id": EVIL, "received_utc": EVIL, "length_bytes": 1, "jws": EVIL},
    "differences": {
        "key": 1, "kind": EVIL, "clip_id": EVIL, "detail": EVIL, "since_utc": EVIL, "times": 1, "last_utc": EVIL,
        "acknowledged": EVIL,
    },
    "held": CLIP,
    "broken": {**CLIP, "kind": "camera"},
}  # fmt: skip


class Hostile:
    """A desk of which every text was chosen by somebody else."""

    def status(self) -> Document:
        """Give the station on one screen."""
        return {
            "station": EVIL, "docked": 1, "bays": 1, "backlog": {EVIL: COUNT}, "quarantine": {"clips": 1, "cameras": 0},
            "store": {"reason": EVIL, "detail": EVIL, "overdue": 0}, "account": {"differences": 1, "unseen": 1},
            "continues": EVIL, "strays": {"copies": 1, "bytes": 2}, "kept": {EVIL: 1}, "spool_full": EVIL,
            "faults": [EVIL],
        }  # fmt: skip

    def rows(self, question: str, **_: str | None) -> Iterator[Document]:
        """Give a row of a list."""
        return iter([ROWS[question]])

    def account(self) -> Document:
        """Give the figures."""
        last: Json = {"docking": EVIL, "compared": True, "utc": EVIL, "account": {EVIL: COUNT}}
        return {"last": last, "reason": EVIL, "detail": EVIL, "offered": True, "elsewhere": {EVIL: 3}}

    def verify(self, *, receipts: Path | None) -> Document:
        """Give a report."""
        del receipts
        return {
            "entries": 1, "clips": 1, "receipts": 1, "signatures": EVIL, "problems": [EVIL], "compared": 1,
            "continues": EVIL, "strays": {"copies": 0, "bytes": 0},
        }  # fmt: skip

    def case(self, kind: str, number: int) -> Document:
        """Give everything of one."""
        return {**CASE, "kind": kind, "number": number}

    def wish(self, verb: str, wanted: Document) -> Document:
        """Grant anything."""
        del verb, wanted
        return {"acknowledged": EVIL, "results": [{"number": EVIL, "outcome": EVIL, "words": EVIL, "done": True}]}


@pytest.mark.parametrize(
    "words",
    [
        "status", "bays", "clips", "receipts", "receipts 00", "verify", "account", "account acknowledge --why seen",
        "quarantine list", "quarantine show 7", "quarantine show d7", "quarantine retry --all",
        "quarantine release 7 --why seen",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["", " --json"], ids=["lines", "json"])
def test_no_text_from_outside_steers_the_terminal_of_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, form: str
) -> None:
    monkeypatch.setattr(command, "_desk", lambda _: Hostile())
    ctl.main(f"{words}{form}".split())
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.replace("\n", "").isprintable()
    assert "x\\u001b]0;owned" in said.out if form else SHOWN in said.out
    assert not [line for line in said.out.splitlines() if line.startswith("  0 problems")]


@pytest.mark.parametrize(
    "error",
    [
        DockdError(EVIL),
        FileNotFoundError(EVIL),
        ConfigError([Problem(path=EVIL, value="1", expected="2"), Problem(path="b", value=EVIL, expected="3")]),
        PermissionError(13, EVIL, EVIL),
        OSError(5, EVIL, EVIL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_text_from_outside_steers_the_terminal_in_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def failing(_: object) -> Hostile:
        raise error

    monkeypatch.setattr(command, "_desk", failing)
    monkeypatch.setattr(command, "_mute", lambda: None)
    assert ctl.main(["status"]) > 0
    said = capsys.readouterr().err
    assert said.replace("\n", "").isprintable()
    assert all(line.startswith("dockctl: ") for line in said.splitlines())
    assert said.count("\n") == (2 if isinstance(error, ConfigError) else 1)
