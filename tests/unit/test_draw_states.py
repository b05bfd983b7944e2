"""The diagrams in the READMEs are those of the tables, and `scripts/draw-states` notices when they are not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CLIP_PAGE, BAY_PAGE, UPLOAD_PAGE = "dockd/domain/README.md", "dockd/domain/README.md", "dockd/tus/README.md"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code and its pages, without an environment of its own."""
    shutil.copytree(ROOT / "dockd", tmp_path / "dockd", ignore=shutil.ignore_patterns("__pycache__", "media"))
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/draw-states", tmp_path / "scripts")
    return tmp_path


def draw(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a tree."""
    command = [sys.executable, str(tree / "scripts/draw-states"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def change(path: Path, old: str, new: str) -> None:
    """Replace the one place where a text stands."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times, expected once"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_diagrams_in_the_readmes_are_current(tree: Path) -> None:
    run = draw(tree, "--check")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("table", "old", "new", "words", "arrow"),
    [
        pytest.param(
            "dockd/domain/clip.py",
            "(_S.RECEIPTED, _M.ERASE_BEGUN): _S.ERASING,",
            "(_S.COPIED, _M.ERASE_BEGUN): _S.ERASING,",
            f"{CLIP_PAGE}: the states of a clip differ from their table: scripts/draw-states --write\n",
            "    copied --> erasing: erase-begun\n",
            id="a move from another state",
        ),
        pytest.param(
            "dockd/domain/bay.py",
            "(_P.READY, _G.WORK_LEFT): _P.OFFLOADING,",
            "(_P.READY, _G.WORK_LEFT): _P.READY,",
            f"{BAY_PAGE}: the states of a bay differ from their table: scripts/draw-states --write\n",
            "    ready --> ready: nothing left, work left, told\n",
            id="an event that leads elsewhere",
        ),
        pytest.param(
            "dockd/tus/step.py",
            "        (State.NUDGE, Signal.BACK_OFF): State.WAIT,\n",
            "",
            f"{UPLOAD_PAGE}: the states of an upload differ from their table: scripts/draw-states --write\n",
            "    nudge --> verify: unsure\n",
            id="a pair that is lawful no more",
        ),
    ],
)
def test_a_changed_table_is_noticed_and_drawn_anew(
    tree: Path, table: str, old: str, new: str, words: str, arrow: str
) -> None:
    change(tree / table, old, new)

    noticed = draw(tree, "--check")
    assert (noticed.returncode, noticed.stderr) == (1, words)

    assert draw(tree, "--write").returncode == 0
    assert draw(tree, "--check").returncode == 0
    page = tree / words.partition(":")[0]
    assert arrow in page.read_text(encoding="utf-8")


def test_a_diagram_edited_by_hand_is_noticed(tree: Path) -> None:
    change(tree / UPLOAD_PAGE, "    wait --> ask: resumed\n", "    wait --> done: resumed\n")

    run = draw(tree, "--check")
    assert (run.returncode, run.stderr.count("\n")) == (1, 1)
    assert run.stderr.startswith(f"{UPLOAD_PAGE}: the states of an upload differ")


def test_a_page_that_lost_its_marks_is_named_with_what_was_expected(tree: Path) -> None:
    change(tree / UPLOAD_PAGE, "<!-- end of states of an upload -->\n", "")

    run = draw(tree, "--check")
    assert run.returncode == 1
    assert run.stderr == (
        f"{UPLOAD_PAGE}: expected the lines '<!-- states of an upload: made by scripts/draw-states --write -->'"
        " and '<!-- end of states of an upload -->'\n"
    )


def test_writing_touches_nothing_outside_the_marks(tree: Path) -> None:
    before = (tree / UPLOAD_PAGE).read_text(encoding="utf-8")
    change(tree / UPLOAD_PAGE, "    wait --> ask: resumed\n", "")

    assert draw(tree, "--write").returncode == 0
    assert (tree / UPLOAD_PAGE).read_text(encoding="utf-8") == before


def test_parallel_causes_share_an_arrow_and_a_state_may_lead_to_itself(tree: Path) -> None:
    lines = draw(tree).stdout.splitlines()
    assert "    erasing --> receipted: erase-failed, redocked" in lines
    assert "    receipted --> receipted: redocked, confirmed, reclaimed" in lines
    assert "    [*] --> found" in lines
    assert "    erased --> [*]" in lines
    assert '    state "wait-new" as wait_new' in lines
    assert "    create --> wait_new: back-off" in lines


def test_an_unknown_option_is_answered_by_the_usage(tree: Path) -> None:
    run = draw(tree, "--draw")
    assert (run.returncode, run.stderr) == (1, "usage: scripts/draw-states [--write | --check]\n")
