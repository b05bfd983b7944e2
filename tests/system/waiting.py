"""Waiting for something to be so, with a deadline."""

import time
from collections.abc import Callable

LOOK_S = 0.002


def until(true: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
    """Look again and again until something is so."""
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s} s"
        time.sleep(LOOK_S)
