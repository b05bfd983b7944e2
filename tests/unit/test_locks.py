"""What is installed is what was locked: every requirement has one version, and a hash of every file that may be it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def requirements(text: str) -> list[str]:
    """Join the lines of each requirement of a lock."""
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith((" ", "#"))
    ]
    return [line for line in lines if not line.startswith("-")]


@pytest.mark.promise("I14")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_by_hash(lock: Path) -> None:
    found = requirements(lock.read_text(encoding="utf-8"))
    assert found
    for requirement in found:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+]+( |$)", requirement), requirement[:100]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement), requirement[:100]
        assert "://" not in requirement.partition("--hash")[0], requirement[:100]


def test_set_up_takes_nothing_that_has_no_hash() -> None:
    setup = (ROOT / "scripts" / "setup").read_text(encoding="utf-8")
    installs = [line for line in setup.splitlines() if re.search(r"\bpip install\b", line)]
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
