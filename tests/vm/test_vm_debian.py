"""Where the guest's packages come from: whatever form this machine's apt has its sources in."""

from pathlib import Path

import pytest

from tests.vm import debian


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    for folder in ("sources.list.d", "trusted.gpg.d"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_keys_that_sources_name_are_believed_beside_those_for_all(etc: Path) -> None:
    (etc / "sources.list").write_text(
        "# deb [signed-by=/keys/none.gpg] mirror://one bookworm main\n"
        "deb [arch=amd64 signed-by=/keys/a.gpg,/keys/b.asc] mirror://one bookworm main\n"
    )
    (etc / "sources.list.d/new.sources").write_text("Types: deb\nSuites: bookworm\nSigned-By: /keys/c.gpg\n")
    (etc / "trusted.gpg.d/d.asc").touch()
    assert debian.keyrings(etc) == ["/keys/a.gpg", "/keys/b.asc", "/keys/c.gpg", f"{etc}/trusted.gpg.d/d.asc"]


def test_where_no_source_names_a_key_the_usual_ones_are_meant(etc: Path) -> None:
    (etc / "sources.list").write_text("deb mirror://one bookworm main\n")
    (etc / "trusted.gpg.d/d.asc").touch()
    assert debian.keyrings(etc) == []


def test_this_machine_knows_where_the_guests_debian_is() -> None:
    lines = debian.sources()
    assert any(" bookworm main" in line for line in lines)
    assert all(line.startswith("deb ") for line in lines)
