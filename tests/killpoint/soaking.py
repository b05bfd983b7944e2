"""Kill points by numbers, for scripts/soak: number after number through every strike of both runs, and round again.

Owns which number is which strike. Threads take turns differently each time round: that is what the rounds are for.
"""

from collections.abc import Iterator, Sequence

from tests.killpoint.campaign import learned, struck
from tests.killpoint.faults import Fault, Strike, strikes

RUNS = ("station", "store")


def every_strike() -> Sequence[tuple[str, Strike]]:
    """Give every fault at every point of both runs, those that a test leaves out for time's sake too."""
    return [(run, strike) for run in RUNS for strike in strikes(learned(run), list(Fault))]


def numbers(wanted: range) -> Iterator[tuple[int, str]]:
    """Run a range of numbers; gives those after which something was wrong, with words that run it again."""
    every = every_strike()
    for run in RUNS:
        chosen = [(number, every[number % len(every)]) for number in wanted]
        mine = [(number, strike) for number, (its_run, strike) in chosen if its_run == run]
        if not mine:
            continue
        verdicts = struck(run, [strike for _, strike in mine], workers=1)
        for (number, _), verdict in zip(mine, verdicts, strict=True):
            if verdict.wrong:
                yield number, f"{run} {verdict.strike}: {'; '.join(verdict.wrong)}"
