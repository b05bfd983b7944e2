"""A structural check from which one rule is taken away misjudges a crafted card: the crafted cards can fail."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import dockd.structure
from tests.card_images import Sparse
from tests.crafted_cards import CRAFTED, ODD

SOURCE = Path(dockd.structure.__file__).parent

MUTANTS = {
    "no cycle, no cross-link": (
        "chains",
        "if hit >= 0:\n                self.used[cluster:hit]",
        "if hit > 1 << 60:\n                self.used[cluster:hit]",
    ),
    "a cycle is called a cross-link": ("chains", "if any(cluster <= hit", "if False and any(cluster <= hit"),
    "no cross-link of clusters in a row": (
        "chains",
        "if hit >= 0:\n            self._findings.add(ProblemKind.CROSS_LINK",
        "if hit > 1 << 60:\n            self._findings.add(ProblemKind.CROSS_LINK",
    ),
    "the card has no end": ("chains", "first + count <= self._end)", "first + count <= 1 << 60)"),
    "bad clusters are none": ("chains", "if cluster == self._mask - BAD_BELOW_MASK:", "if cluster == 1 << 40:"),
    "free clusters are none": ("chains", "if cluster == 0 and after:", "if cluster == 1 << 40:"),
    "size unchecked": ("tree", "if clusters < needed:", "if clusters < 0:"),
    "what lies behind unseen": ("tree", "elif clusters > needed:", "elif clusters > 1 << 60:"),
    "no directory loop": ("tree", "if parent.lies_below(entry.first):", "if parent.lies_below(-1):"),
    "no depth": ("tree", "if parent.depth == DEEPEST:", "if parent.depth == -1:"),
    "the bitmap unread": ("tree", "if not count or allocated is None:", "if count is None or count:"),
    "duplicates unseen": ("names", "if not self._met.isdisjoint(opens):", "if False:"),
    "case counts": ("names", "return name.upper()", "return name"),
    "the short name opens nothing": (
        "names",
        "for name in (entry.name, entry.alias) if name",
        "for name in (entry.name,) if name",
    ),
    "a slash is a letter": ("names", 'if "/" in name or', 'if "?" in name or'),
    "a nul is a letter": ("names", 'or "\\0" in name:', "or not name:"),
    "dots are cut by nobody": ("names", 'if name.endswith("."):', 'if name == "...":'),
    "half a pair is whole": ("names", "if not name.isascii() and any(", "if name.isascii() and any("),
    "the second table unread": ("fat_table", "if self._boot.tables > 1 and", "if self._boot.tables > 2 and"),
    "the highest clusters are marks": (
        "fat_table",
        "special = highest - BAD_BELOW_MASK",
        "special = highest & ~0xF",
    ),
    "a table that nobody keeps counts": ("fat_boot", "tables=1 if flags & ONE_TABLE else tables", "tables=tables"),
    "a bitmap has nothing to spare": ("exfat", "most=MOST_BITMAP_BYTES", "most=-(-self.geometry.clusters // 8)"),
    "free entries count": ("fat_table", "if used[cluster] and", "if used is not None and"),
    "the end of a folder ends nothing": ("fat_folder", "if is_behind_end:", "if is_behind_end is None:"),
    "a folder needs no dots": ("fat_folder", "if folder.parent is not None and dots < len(DOTS):", "if dots < 0:"),
    "dots may lead anywhere": ("fat_folder", "        if first in expected:\n", "        if expected:\n"),
    "a label is a file": ("fat_folder", "if attributes & LABEL:", "if attributes == 0xFF:"),
    "a label may hide a file": (
        "fat_folder",
        "            if first or length or attributes & FOLDER:",
        "            if length < 0:",
    ),
    "a deleted file is a file": ("fat_folder", "if head in (FREE, DELETED):", "if head == FREE:"),
    "a card is never cut short": ("fat_boot", "if size_bytes > blocks.size_bytes:", "if size_bytes < 0:"),
    "dirty is fatal": ("check", "findings.note(ProblemKind.DIRTY", "findings.add(ProblemKind.DIRTY"),
    "sets need no sum": ("exfat_folder", "if set_checksum(", "if not set_checksum("),
    "names need no hash": ("exfat_folder", "if name_hash(fold(name)) != hash_:", "if hash_ is None:"),
    "more written than long": ("exfat_folder", "if valid_length > length or", "if valid_length < 0 or"),
    "the boot region needs no sum": ("exfat_boot", "_see_checksum(blocks, 1 << shift, findings)", "_ = shift"),
}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], ModuleType]]:
    """Import a copy of the check with one text in it replaced by another."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def plant(module: str, old: str, new: str) -> ModuleType:
        package = tmp_path / "mutant"
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in package.glob("*.py"):
            text = path.read_text(encoding="utf-8").replace("dockd.structure", "mutant")
            text = text.replace("MOST_RUNS = 1 << 22", "MOST_RUNS = 1 << 14")  # for those who walk in a circle
            if path.stem == module:
                assert text.count(old) == 1, f"{old!r} is to stand once in {module}.py"
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module("mutant")

    yield plant
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "mutant":
            del sys.modules[name]


@cache
def cards() -> list[tuple[str, str, Sparse, dict[bytes, int]]]:
    """Make all cards once: name, kind of trouble, bytes, and the length of each file."""
    made = [(name, crafted.kind, crafted.make()) for name, crafted in {**CRAFTED, **ODD}.items()]
    return [
        (name, kind, image.disk, {path: len(data) for path, data in image.files.items()}) for name, kind, image in made
    ]


def misjudged(check: Callable[..., object]) -> str:
    """Name the first card that a check misjudges; empty if there is none. An endless check is stopped by its reads."""
    for name, kind, disk, files in cards():
        met: dict[bytes, int] = {}
        disk.reads = 0

        def read(offset: int, length: int) -> bytes:
            assert disk.reads < 3000, "it reads without end"  # noqa: B023 - used in this turn of the loop alone
            return disk.read(offset, length)  # noqa: B023 - the same

        try:
            structure = check(read, size_bytes=disk.size_bytes, found=met.__setitem__)
        except (AssertionError, ValueError, IndexError, UnicodeError):
            return name
        kinds = {problem.kind.value for problem in structure.problems}  # type: ignore[attr-defined]  # of a copy
        behind = bool(structure.behind)  # type: ignore[attr-defined]  # the same
        if kind and kind not in kinds:
            return name
        if not kind and (kinds or met != files or behind != name.endswith("chain-goes-on")):
            return name
    return ""


def test_the_check_itself_misjudges_none(planted: Callable[[str, str, str], ModuleType]) -> None:
    assert misjudged(planted("check", "the verdict", "the verdict").check) == ""


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_caught_by_a_crafted_card(name: str, planted: Callable[[str, str, str], ModuleType]) -> None:
    assert misjudged(planted(*MUTANTS[name]).check) != ""
