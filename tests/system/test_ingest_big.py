"""A recording longer than 4 GiB goes the whole way, and costs no memory for its length.

A sparse file: gigabytes to read, hash, send and read again, of which only the copies take room. CI takes it at full
size; elsewhere DOCKD_BIG_GIB says how big it is (about twice that is needed free on the disk of the temporary folder).
"""

import os
import time
from pathlib import Path

import pytest

from tests.system.cards import digests, odd_card
from tests.system.evidence import clip_rows, stored
from tests.system.programs import Gauge, StoreProcess, ingest_command, ingesting

BIG_GIB = float(os.environ.get("DOCKD_BIG_GIB", "5" if os.environ.get("CI") else "0.5"))
BIG_BYTES = int(BIG_GIB * 2**30)
BIG = b"DCIM/100DOCKD/LONG0001.MP4"
MOST_PSS_BYTES = 120 << 20


@pytest.mark.promise("I16")
@pytest.mark.timeout(1500)
def test_a_long_recording_is_receipted_within_the_memory_of_a_short_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card"
    files = odd_card(card, files=20, seed=5)
    with (card / os.fsdecode(BIG)).open("wb") as file:
        file.write(b"\x00\x00\x00\x18ftypmp42")
        file.truncate(BIG_BYTES)
    files[BIG] = BIG_BYTES
    with StoreProcess(tmp_path / "central") as store:
        command = ingest_command(card, to=store.url, state=tmp_path / "state", key=store.key)
        began_s = time.monotonic()
        with ingesting(command, tmp_path / "ingest.stderr") as run, Gauge(run) as gauge:
            ended = run.ended(within_s=1200)
        took_s = time.monotonic() - began_s
        clips = stored(store.base)
    with capsys.disabled():
        print(f"\n{BIG_GIB:g} GiB: {took_s:.1f} s, at most {gauge.peak_bytes / 2**20:.1f} MiB (PSS)")  # noqa: T201 - a figure for whoever runs it
    assert ended.code == 0, ended.words()
    assert ended.counts == (21, 21, 0, 0, 0)
    assert {path: clip.sha256 for path, clip in clips.items()} == dict(digests(card, files, tmp_path / "links"))
    assert {path: clip.length for path, clip in clips.items()} == files
    assert gauge.peak_bytes < MOST_PSS_BYTES, f"{gauge.peak_bytes / 2**20:.1f} MiB"
    tags = {bytes(row["path"]): row["tags"] for row in clip_rows(tmp_path / "state")}
    assert ("over-4-gib" in tags[BIG]) == (BIG_BYTES >= 2**32)
    assert "header-missing" in tags[BIG]
