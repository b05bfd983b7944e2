"""The copier brings a file into the spool: whole, proven, durable, or not at all (I5, I8)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.copier.card import Card
from dockd.copier.commands import BUFFER_BYTES as CHUNK, Copier
from dockd.copier.pipe import LINE_BYTES, CommandError, Message as Told, Pipe
from dockd.copier.spool import Spool
from dockd.domain.model import Sha256, clip_id_of, identity_prefix
from dockd.edges.copier_process import COPIER, ISOLATED
from tests.copier_parts import CAMERA, FOLDER, Dock, Message, a_child, a_dock, copy_of, packed


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


class Meddler(Pipe):
    """A pipe to nobody that does something to the card while a file is copied."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(commands=0, answers=1)
        self._meddle = meddle

    def tell(self, message: Told) -> None:
        """Say nothing."""

    def tick(self, message: Told) -> None:  # noqa: ARG002 - as the pipe's own
        """Meddle once, after the first piece of the file."""
        meddle, self._meddle = self._meddle, lambda: None
        meddle()


@pytest.fixture
def meddled(dock: Dock) -> Iterator[Callable[[Callable[[], None]], Copier]]:
    card, spool, null = os.open(dock.card, FOLDER), os.open(dock.spool, FOLDER), os.open(os.devnull, os.O_RDWR)

    def make(meddle: Callable[[], None]) -> Copier:
        return Copier(card=Card(card), spool=Spool(spool), pipe=Meddler(meddle))

    yield make
    for fd in (card, spool, null):
        os.close(fd)


@pytest.mark.promise("I5")
@pytest.mark.parametrize("length", [0, 1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
def test_a_copy_has_the_bytes_of_the_card_and_is_named_by_the_identity(dock: Dock, length: int) -> None:
    data = os.urandom(length)
    file = dock.put("DCIM/a b.mp4", data)
    digest = sha256(data).hexdigest()
    clip_id = clip_id_of(camera=CAMERA, path=file.path, length_bytes=length, sha256=Sha256(digest))
    prefix = identity_prefix(camera=CAMERA, path=file.path, length_bytes=length)
    with a_child(dock) as child:
        answer, _ = child.ask(copy_of(file) | {"prefix": prefix.hex()})
    assert answer == {"done": {"clip_id": clip_id, "sha256": digest, "length": length}}
    assert dock.kept() == [f"{clip_id}.clip"]
    assert (dock.spool / f"{clip_id}.clip").read_bytes() == data


def test_a_copy_is_for_the_daemon_alone(dock: Dock) -> None:
    with a_child(dock) as child:
        child.copy(dock.put("a"))
    (kept,) = dock.spool.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_files_are_carried_whatever_they_are_called(dock: Dock) -> None:
    names = [b"two\nlines", b"\xff\xfe.mp4", b"n" * 255, b"d/" * 60 + b"deep", b"._a", "\N{POLICE OFFICER}".encode()]
    files = [dock.put(name, name) for name in names]
    with a_child(dock) as child:
        digests = [child.copy(file)["done"]["sha256"] for file in files]
    assert digests == [sha256(name).hexdigest() for name in names]


def test_copying_a_file_again_gives_the_same_copy(dock: Dock) -> None:
    file = dock.put("a")
    with a_child(dock) as child:
        assert child.copy(file) == child.copy(file)
    assert len(dock.kept()) == 1


def test_progress_of_a_long_copy_is_told_in_rising_bytes(dock: Dock) -> None:
    dock.put("BIG.MP4", b"")
    os.truncate(dock.card / "BIG.MP4", 512 << 20)
    with a_child(dock) as child:
        answer, signs = child.ask(copy_of(dock.listed(b"BIG.MP4")))
    told = [sign["at"] for sign in signs if "at" in sign]
    assert told == sorted(set(told))
    assert told
    assert {"on": "disk"} in signs
    assert answer["done"]["length"] == 512 << 20


def failing(copy: Callable[[], object]) -> str:
    with pytest.raises(CommandError) as caught:
        copy()
    return caught.value.code


def copy_by(maker: Copier, command: Message) -> Callable[[], object]:
    return lambda: maker.perform(command)


def test_a_file_that_has_grown_since_its_listing_is_growing(dock: Dock) -> None:
    file = dock.put("a", b"12345")
    dock.put("a", b"1234567")
    with a_child(dock) as child:
        answer = child.copy(file)
    assert answer == {"error": "growing", "say": answer["say"]}
    assert answer["say"].startswith("'a' has 7 bytes")
    assert dock.kept() == []


def test_a_file_that_was_written_to_since_its_listing_is_growing(dock: Dock) -> None:
    file = dock.put("a", b"12345")
    os.utime(dock.card / "a", ns=(0, file.mtime_ns + 2_000_000_000))
    with a_child(dock) as child:
        assert child.copy(file)["error"] == "growing"


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.promise("I3")
@pytest.mark.parametrize(
    "meddle",
    [
        pytest.param(grow, id="grows"),
        pytest.param(lambda path: os.truncate(path, 10), id="shrinks"),
        pytest.param(lambda path: os.utime(path, ns=(0, 0)), id="is-written-to"),
    ],
)
def test_a_file_that_changes_under_the_copy_leaves_nothing(
    dock: Dock, meddled: Callable[[Callable[[], None]], Copier], meddle: Callable[[Path], None]
) -> None:
    file = dock.put("a", os.urandom(2 * CHUNK))
    maker = meddled(lambda: meddle(dock.card / "a"))
    assert failing(copy_by(maker, copy_of(file))) == "growing"
    assert dock.kept() == []


def test_short_writes_lose_nothing(
    dock: Dock, meddled: Callable[[Callable[[], None]], Copier], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(2 * CHUNK + 5)
    file = dock.put("a", data)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, piece: write(fd, piece[:100_001]))
    done = meddled(lambda: None).perform(copy_of(file))
    assert done["sha256"] == sha256(data).hexdigest()
    (kept,) = dock.spool.iterdir()
    assert kept.read_bytes() == data


def test_a_file_that_disappeared_is_missing_while_the_card_is_there(dock: Dock) -> None:
    file = dock.put("DCIM/a")
    (dock.card / "DCIM/a").unlink()
    with a_child(dock) as child:
        assert child.copy(file) == {"error": "missing", "say": "'DCIM/a': No such file or directory"}
        (dock.card / "DCIM").rmdir()
        assert child.copy(file)["error"] == "missing"


def test_a_file_of_a_card_that_left_is_gone_and_not_missing(dock: Dock) -> None:
    file = dock.put("a")
    with a_child(dock) as child:
        child.listing()
        (dock.card / "a").unlink()
        dock.card.rmdir()
        assert child.copy(file)["error"] == "gone"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_a_name_that_has_become_something_else_is_unreadable(dock: Dock, kind: str) -> None:
    file = dock.put("a")
    (dock.card / "a").unlink()
    match kind:
        case "symlink":
            (dock.card / "a").symlink_to("/etc/passwd")
        case "fifo":
            os.mkfifo(dock.card / "a")
        case _:
            (dock.card / "a").mkdir()
    with a_child(dock) as child:
        assert child.copy(file)["error"] == "unreadable"
    assert dock.kept() == []


def test_a_folder_that_has_become_a_link_is_not_followed(dock: Dock, tmp_path: Path) -> None:
    file = dock.put("DCIM/a")
    (dock.card / "DCIM").rename(tmp_path / "elsewhere")
    (dock.card / "DCIM").symlink_to(tmp_path / "elsewhere")
    with a_child(dock) as child:
        assert child.copy(file)["error"] in {"unreadable", "missing"}


@pytest.mark.parametrize("path", [b"../a", b"/etc/passwd", b"DCIM//a", b"./a", b"", b"a/", b"a\0b"])
def test_a_path_that_leaves_the_card_is_refused(dock: Dock, path: bytes) -> None:
    file = dock.put("a")
    with a_child(dock) as child:
        answer, _ = child.ask(copy_of(file) | {"path": packed(path)})
        assert answer["error"] == "missing"
        assert answer["say"].endswith("is no path of a listing")


def test_what_is_no_command_is_told_and_survived(dock: Dock) -> None:
    with a_child(dock) as child:
        assert child.ask({"do": "format"})[0]["error"] == "usb"
        assert child.ask({"do": "copy", "path": 7})[0]["error"] == "usb"
        assert "done" in child.copy(dock.put("a"))


def test_a_command_without_end_is_not_kept_in_memory(dock: Dock) -> None:
    with a_child(dock) as child:
        assert child.process.stdin is not None
        child.process.stdin.write(b"x" * (LINE_BYTES + 1))
        child.process.stdin.flush()
        assert child.process.wait(timeout=20) == 1


def test_the_copier_ends_when_its_commands_do(dock: Dock) -> None:
    with a_child(dock) as child:
        child.listing()
    assert child.process.returncode == 0


@pytest.mark.promise("I4")
def test_a_copier_whose_daemon_died_ends_in_the_middle_of_a_file_and_leaves_nothing(dock: Dock) -> None:
    dock.put("BIG.MP4", b"")
    os.truncate(dock.card / "BIG.MP4", 64 << 30)
    with a_child(dock) as child:
        child.send(copy_of(dock.listed(b"BIG.MP4")))
        assert "at" in child.hear()
        assert dock.kept() == ["0-1.part"]
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(timeout=20) == 1
    assert dock.kept() == []


def test_ctrl_c_in_a_terminal_is_the_daemons_to_answer(dock: Dock) -> None:
    with a_child(dock) as child:
        child.listing()
        child.process.send_signal(signal.SIGINT)
        assert "done" in child.copy(dock.put("a"))


def test_the_copier_has_no_descriptor_but_its_own(dock: Dock) -> None:
    with a_child(dock) as child, (dock.card.parent / "ledger.lock").open("w"):
        child.listing()
        links = Path(f"/proc/{child.process.pid}/fd").iterdir()
        held = {int(link.name): str(link.readlink()) for link in links}
    assert sorted(held)[:3] == [0, 1, 2]
    assert sorted(path for fd, path in held.items() if fd > 2) == sorted(map(str, (dock.card, dock.spool)))


def test_a_copier_is_made_of_the_standard_library_and_its_own_parts() -> None:
    """Nothing that is installed beside dockd gets into the process that touches a card."""
    command = [sys.executable, *ISOLATED, "-X", "importtime", str(COPIER), "0", "0"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=20)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()[1:]}
    folders = (COPIER.parent, COPIER.parents[1] / "structure")
    parts = {f"dockd.{folder.name}.{path.stem}" for folder in folders for path in folder.glob("[a-z]*.py")}
    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    # The standard library's copy asks for what Jython has, and finds none.
    assert foreign - {"org", "org.python", "org.python.core"} == {"dockd", "dockd.copier", "dockd.structure"} | parts


def test_a_copier_writes_nothing_beside_its_own_code(tmp_path: Path) -> None:
    """An installation is for reading only, whoever may write there: and a traced copier makes the same calls twice."""
    copy = tmp_path / "dockd" / "copier"
    for folder in (COPIER.parent, COPIER.parents[1] / "structure"):
        (tmp_path / "dockd" / folder.name).mkdir(parents=True)
        for path in folder.glob("*.py"):
            (tmp_path / "dockd" / folder.name / path.name).write_bytes(path.read_bytes())
    before = set(tmp_path.rglob("*"))
    command = [sys.executable, *ISOLATED, str(copy / COPIER.name), "0", "0"]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=20)
    assert set(tmp_path.rglob("*")) == before
