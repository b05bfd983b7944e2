"""Secrets stay in their files: none on a command line, in an environment, in a log, or in what is kept."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess, command_line, ingest_command, ingesting
from tests.system.waiting import until

TOKEN = "the-token-of-desk-1-that-nobody-may-see"


@pytest.mark.promise("I14")
def test_no_secret_is_seen_on_a_command_line_in_the_environment_or_in_a_log(tmp_path: Path) -> None:
    card, state, token_file = tmp_path / "card", tmp_path / "state", tmp_path / "token"
    card.mkdir()
    (card / "A.MP4").write_bytes(os.urandom(3_000_000))
    token_file.write_text(f"{TOKEN}\n")
    token_file.chmod(0o600)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"upload desk-1 {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    tokens.chmod(0o600)
    seen: set[str] = set()

    def ended_under(pids: list[int]) -> bool:
        """Look at every process, until the first has ended."""
        for pid in pids:
            seen.add(command_line(pid))
            try:
                seen.add(Path(f"/proc/{pid}/environ").read_text(errors="replace"))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return not run.running

    with StoreProcess(folder=tmp_path / "store", arguments=("--token-file", str(tokens))) as store:
        more = ("--token-file", str(token_file), "--limit", "2M")
        command = ingest_command(card, to=store.url, state=state, key=store.key, more=more)
        with ingesting(command, state.with_suffix(".stderr")) as run:
            until(lambda: ended_under([*run.tree(), store.pid]), "its end")
            ended = run.ended()
    files = [path for path in (tmp_path / "store").iterdir() if path.is_file()]
    key_files = [path for path in files if b"PRIVATE KEY" in path.read_bytes()[:100]]
    assert ended.code == 0, ended.words()
    assert len(seen) > 4, "nobody was looked at"
    assert not [words for words in seen if TOKEN in words]
    said = [path for path in tmp_path.rglob("*") if path.is_file() and path not in {token_file, card / "A.MP4"}]
    assert len(said) > 5
    assert [path.name for path in said if TOKEN.encode() in path.read_bytes()] == []
    assert len(key_files) == 1
    assert key_files[0].stat().st_mode & 0o077 == 0
