"""Many seeds: as the soak asks for them, and on every processor at once for a test.

Owns how runs are spread over processes. Must not know what a run is.
"""

from collections.abc import Iterator

from tests.sim.shift import run


def numbers(seeds: range) -> Iterator[tuple[int, str]]:
    """Run every seed; give those that failed, with the end of their trace."""
    for seed in seeds:
        outcome = run(seed)
        if outcome.error:
            yield seed, str(outcome)
