"""The language of the lamps: what each shows, that no dead channel lies, and that the rhythm alone says it."""

from itertools import combinations, pairwise

import pytest

from dockd.domain.bay import Bay, Phase, Work
from dockd.domain.lamps import (
    CHANNELS as LIT,
    PATTERNS,
    Channel,
    Colour,
    Lamp,
    Pattern,
    channels_lit,
    is_lit,
    lamp_for,
    next_change_s,
)
from dockd.domain.model import BayId, Camera, CameraSerial, DockingId, VolumeId

CHANNELS = {
    Colour.DARK: frozenset[str](),
    Colour.WHITE: frozenset("RGB"),
    Colour.YELLOW: frozenset("RG"),
    Colour.GREEN: frozenset("G"),
    Colour.BLUE: frozenset("B"),
    Colour.RED: frozenset("R"),
}
DEAD = [frozenset(dead) for size in range(4) for dead in combinations("RGB", size)]
TABLE = {
    Lamp.OFF: (Colour.DARK, ()),
    Lamp.EMPTY: (Colour.WHITE, (0.1, 4.9)),
    Lamp.WAIT: (Colour.YELLOW, (0.5, 0.5)),
    Lamp.CHARGING_RECEIPTED: (Colour.GREEN, (1.0, 1.0)),
    Lamp.CHARGING_COPIED: (Colour.BLUE, (2.0, 2.0)),
    Lamp.GO_COPIED: (Colour.BLUE, (1.8, 0.2)),
    Lamp.GO_RECEIPTED: (Colour.GREEN, (1.0,)),
    Lamp.LEAVE: (Colour.RED, (0.25, 0.25, 0.25, 1.25)),
    Lamp.IDENTIFY: (Colour.WHITE, (0.25, 0.25)),
}
# What a lamp promises whoever reads it: may the camera be taken, is the evidence safe. More is less safe to claim.
TAKE = {"yes": 3, "rather not: charging": 2, "dock here": 1}
SAFE = {"yes, receipted": 2, "copied here, upload goes on": 1}


def seen(lamp: Lamp, dead: frozenset[str]) -> tuple[frozenset[str], tuple[bool, ...]]:
    """What an eye gets: the channels that light, and when, in steps of 50 ms over twenty seconds."""
    channels = CHANNELS[PATTERNS[lamp].colour] - dead
    lit = tuple(bool(channels) and is_lit(lamp, elapsed_s=step / 20 + 0.001) for step in range(400))
    return (channels if any(lit) else frozenset(), lit)


def test_every_lamp_looks_as_the_table_says() -> None:
    assert {lamp: (pattern.colour, pattern.phases) for lamp, pattern in PATTERNS.items()} == TABLE


def test_the_two_answers_are_those_of_the_table() -> None:
    assert {lamp.value: (pattern.take, pattern.safe) for lamp, pattern in PATTERNS.items()} == {
        "off": ("unknown: do not trust this bay", "unknown"),
        "empty": ("dock here", "-"),
        "wait": ("please wait", "not yet"),
        "charging-receipted": ("rather not: charging", "yes, receipted"),
        "charging-copied": ("rather not: charging", "copied here, upload goes on"),
        "go-copied": ("yes", "copied here, upload goes on"),
        "go-receipted": ("yes", "yes, receipted"),
        "leave": ("leave it, take another", "held, nothing lost"),
        "identify": ("IT is pointing at it", "ask the page"),
    }
    assert all(pattern.rhythm for pattern in PATTERNS.values())


@pytest.mark.promise("I8")
@pytest.mark.parametrize("dead", DEAD, ids=lambda dead: "".join(sorted(dead)) or "none")
@pytest.mark.parametrize("lamp", list(Lamp))
def test_no_dead_channel_shows_a_safer_state_than_the_true_one(lamp: Lamp, dead: frozenset[str]) -> None:
    looks_like = [other for other in Lamp if seen(other, frozenset()) == seen(lamp, dead)]
    assert set(looks_like) <= {lamp, Lamp.OFF}
    for other in looks_like:
        assert TAKE.get(PATTERNS[other].take, 0) <= TAKE.get(PATTERNS[lamp].take, 0)
        assert SAFE.get(PATTERNS[other].safe, 0) <= SAFE.get(PATTERNS[lamp].safe, 0)


def test_the_rhythm_alone_tells_every_lamp() -> None:
    rhythms = {seen(lamp, frozenset())[1] for lamp in Lamp}
    assert len(rhythms) == len(Lamp)
    shapes = {turned(PATTERNS[lamp].phases) for lamp in Lamp}
    assert len(shapes) == len(Lamp)


def turned(phases: tuple[float, ...]) -> tuple[float, ...]:
    """Name a rhythm whatever moment somebody begins to look."""
    turns = [phases[start:] + phases[:start] for start in range(0, len(phases), 2)]
    return min(turns, default=())


@pytest.mark.parametrize("lamp", list(Lamp))
def test_no_lamp_blinks_faster_than_three_times_a_second(lamp: Lamp) -> None:
    phases = PATTERNS[lamp].phases
    for start in range(0, len(phases) - 1, 2):
        assert phases[start] + phases[start + 1] >= 1 / 3
    lit = seen(lamp, frozenset())[1]
    starts = [step for step in range(1, len(lit)) if lit[step] and not lit[step - 1]]
    assert all(later - earlier >= 7 for earlier, later in pairwise(starts))


@pytest.mark.parametrize(
    ("lamp", "lit_s", "dark_s"),
    [
        (Lamp.EMPTY, (0.0, 0.05, 5.0, 10.09), (0.11, 2.5, 4.99)),
        (Lamp.WAIT, (0.0, 0.49, 1.2), (0.5, 0.99, 1.7)),
        (Lamp.GO_COPIED, (0.0, 1.79, 2.0, 3.7), (1.8, 1.99, 3.9)),
        (Lamp.GO_RECEIPTED, (0.0, 0.5, 1.0, 1e6), ()),
        (Lamp.LEAVE, (0.0, 0.24, 0.5, 0.74, 2.1), (0.25, 0.49, 0.75, 1.5, 1.99)),
        (Lamp.OFF, (), (0.0, 1.0, 1e6)),
    ],
)
def test_a_pattern_begins_lit_and_repeats(lamp: Lamp, lit_s: tuple[float, ...], dark_s: tuple[float, ...]) -> None:
    assert all(is_lit(lamp, elapsed_s=at_s) for at_s in lit_s)
    assert not any(is_lit(lamp, elapsed_s=at_s) for at_s in dark_s)


CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"))


def bay(phase: Phase, *, work: Work | None = None, charge_pct: int | None = None, erasing: bool = False) -> Bay:
    return Bay(
        number=BayId(1), phase=phase, camera=CAMERA, docking=DockingId(1), work=work or Work(),
        charge_pct=charge_pct, erasing=erasing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("docked", "lamp"),
    [
        (bay(Phase.UNKNOWN), Lamp.OFF),
        (bay(Phase.EMPTY), Lamp.EMPTY),
        (bay(Phase.SETTLING), Lamp.WAIT),
        (bay(Phase.OFFLOADING), Lamp.WAIT),
        (bay(Phase.OFFLOADING, work=Work(held_files=1)), Lamp.WAIT),
        (bay(Phase.FAULT), Lamp.LEAVE),
        (bay(Phase.FAULT, erasing=True), Lamp.LEAVE),
        (bay(Phase.READY), Lamp.GO_RECEIPTED),
        (bay(Phase.READY, charge_pct=80), Lamp.GO_RECEIPTED),
        (bay(Phase.READY, charge_pct=79), Lamp.CHARGING_RECEIPTED),
        (bay(Phase.READY, charge_pct=0), Lamp.CHARGING_RECEIPTED),
        (bay(Phase.READY, work=Work(unreceipted_files=1)), Lamp.GO_COPIED),
        (bay(Phase.READY, work=Work(unreceipted_files=1), charge_pct=10), Lamp.CHARGING_COPIED),
        (bay(Phase.READY, work=Work(unreceipted_files=1, held_files=1)), Lamp.LEAVE),
        (bay(Phase.READY, work=Work(held_files=1), charge_pct=100), Lamp.LEAVE),
        (bay(Phase.READY, erasing=True), Lamp.WAIT),
        (bay(Phase.READY, erasing=True, work=Work(held_files=1)), Lamp.WAIT),
    ],
)
def test_a_bay_shows_its_lamp(docked: Bay, lamp: Lamp) -> None:
    assert lamp_for(docked, issue_charge_pct=80) is lamp


def test_a_pattern_is_a_value() -> None:
    assert PATTERNS[Lamp.WAIT] == Pattern(
        colour=Colour.YELLOW, phases=(0.5, 0.5), rhythm="1 Hz", take="please wait", safe="not yet"
    )


def test_every_colour_has_the_channels_that_make_it() -> None:
    letters = {colour: frozenset(channel.name[0] for channel in channels) for colour, channels in LIT.items()}
    assert letters == CHANNELS
    assert channels_lit(Lamp.WAIT, elapsed_s=0.2) == {Channel.RED, Channel.GREEN}
    assert channels_lit(Lamp.WAIT, elapsed_s=0.7) == frozenset()
    assert channels_lit(Lamp.OFF, elapsed_s=0.2) == frozenset()


@pytest.mark.parametrize("lamp", list(Lamp))
def test_a_lamp_changes_when_it_is_said_to_and_not_before(lamp: Lamp) -> None:
    for step in range(400):
        at_s = step / 20 + 0.001
        due_s = next_change_s(lamp, elapsed_s=at_s)
        now = is_lit(lamp, elapsed_s=at_s)
        if due_s is None:
            assert len(TABLE[lamp][1]) < 2
            assert is_lit(lamp, elapsed_s=at_s + 7.7) is now
            continue
        assert at_s < due_s <= at_s + 4.9
        assert all(is_lit(lamp, elapsed_s=at_s + (due_s - at_s) * part / 10 - 1e-6) is now for part in range(1, 11))
        assert is_lit(lamp, elapsed_s=due_s + 1e-6) is not now
