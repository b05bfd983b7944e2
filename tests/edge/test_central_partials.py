"""Bytes that an earlier process left of an upload are written again before they are believed."""

import os
from pathlib import Path

import pytest

from dockd.central.partials import Partials

LONG_AGO_NS = 1_000_000_000


@pytest.mark.promise("I9")
def test_only_what_an_earlier_process_left_is_written_again_and_only_once(tmp_path: Path) -> None:
    for name in ("left", "new"):
        (tmp_path / name).write_bytes(b"evidence")
        os.utime(tmp_path / name, ns=(LONG_AGO_NS, LONG_AGO_NS))
    (tmp_path / "new").rename(tmp_path.parent / "new")
    partials = Partials(tmp_path, reserve_bytes=0)
    (tmp_path.parent / "new").rename(tmp_path / "new")
    for name in ("left", "new"):
        partials.renew(name)
    assert (tmp_path / "left").stat().st_mtime_ns > LONG_AGO_NS
    assert (tmp_path / "new").stat().st_mtime_ns == LONG_AGO_NS
    assert (tmp_path / "left").read_bytes() == b"evidence"
    os.utime(tmp_path / "left", ns=(LONG_AGO_NS, LONG_AGO_NS))
    partials.renew("left")
    assert (tmp_path / "left").stat().st_mtime_ns == LONG_AGO_NS
