"""Lamps with dead channels: what is left of any lamp is never plainly, nor nearly, a lamp that claims more.

The order of safety, written down here by hand. A lamp answers two questions, and claims more of each in this order:

    may I take it?          nothing said  <  dock here  <  rather not: charging  <  yes
    is my evidence safe?    nothing said  <  copied here, the upload goes on     <  yes, receipted

What people believe wrongly costs evidence in one direction only: a lamp may say less than is so, and never more. A lamp
of one colour and a rhythm that is none of the table says nothing.
"""

from itertools import combinations

import pytest

from dockd.domain.lamps import PATTERNS, Lamp, channels_lit
from tests.lamp_parts import LOOKS, look_of

TAKE = {
    Lamp.OFF: 0, Lamp.EMPTY: 1, Lamp.WAIT: 0, Lamp.CHARGING_RECEIPTED: 2, Lamp.CHARGING_COPIED: 2, Lamp.GO_COPIED: 3,
    Lamp.GO_RECEIPTED: 3, Lamp.LEAVE: 0, Lamp.IDENTIFY: 0,
}  # fmt: skip
SAFE = {
    Lamp.OFF: 0, Lamp.EMPTY: 0, Lamp.WAIT: 0, Lamp.CHARGING_RECEIPTED: 2, Lamp.CHARGING_COPIED: 1, Lamp.GO_COPIED: 1,
    Lamp.GO_RECEIPTED: 2, Lamp.LEAVE: 0, Lamp.IDENTIFY: 0,
}  # fmt: skip
DEAD = [frozenset(dead) for size in range(4) for dead in combinations("RGB", size)]

each_lamp = pytest.mark.parametrize("lamp", list(Lamp))
each_dead = pytest.mark.parametrize("dead", DEAD, ids=lambda dead: "".join(sorted(dead)) or "none")


def claims_more(other: Lamp, lamp: Lamp) -> bool:
    return TAKE[other] > TAKE[lamp] or SAFE[other] > SAFE[lamp]


def turns(lamp: Lamp) -> float:
    """How often it goes on in a minute; 0 for one that is steady or dark."""
    phases = LOOKS[lamp][1]
    return 60 / (sum(phases) / (len(phases) // 2)) if len(phases) > 1 else 0.0


def share(lamp: Lamp) -> float:
    """For what part of the time it is lit."""
    phases = LOOKS[lamp][1]
    return sum(phases[::2]) / sum(phases) if phases else 0.0


def test_all_subsets_are_tried_and_every_lamp_has_its_place_in_the_order() -> None:
    assert len(DEAD) == 8
    assert TAKE.keys() == SAFE.keys() == set(Lamp)
    assert {lamp for lamp in Lamp if TAKE[lamp] == 3} == {lamp for lamp in Lamp if PATTERNS[lamp].take == "yes"}
    assert {lamp for lamp in Lamp if SAFE[lamp] == 2} == {
        lamp for lamp in Lamp if PATTERNS[lamp].safe == "yes, receipted"
    }


@pytest.mark.promise("I8")
@each_dead
@each_lamp
def test_from_whatever_moment_it_is_looked_at_it_is_itself_or_dark_or_no_lamp_at_all(
    lamp: Lamp, dead: frozenset[str]
) -> None:
    left = look_of(lamp, dead)
    for other in Lamp:
        whole = look_of(other)
        alike = any(left == [*whole[start:], *whole[:start]] for start in range(len(whole)))
        assert not alike or other in {lamp, Lamp.OFF}
        assert not alike or not claims_more(other, lamp)


@pytest.mark.promise("I8")
@each_dead
@each_lamp
def test_what_is_left_is_not_nearly_a_lamp_that_claims_more_either(lamp: Lamp, dead: frozenset[str]) -> None:
    """One colour for both, then a tempo twice as fast or slow, or lit for much more or less of the time."""
    colour = frozenset(LOOKS[lamp][0]) - dead
    for other in Lamp:
        if not claims_more(other, lamp) or not colour or colour != frozenset(LOOKS[other][0]):
            continue
        fast, slow = sorted((turns(lamp), turns(other)), reverse=True)
        assert fast >= 2 * slow or abs(share(lamp) - share(other)) >= 0.3, other


@pytest.mark.promise("I8")
@each_dead
@each_lamp
def test_at_no_moment_does_a_dead_channel_light_what_was_not_lit(lamp: Lamp, dead: frozenset[str]) -> None:
    names = {channel: channel.name[0] for channel in channels_lit(Lamp.IDENTIFY, elapsed_s=0.0)}
    for step in range(0, 400, 7):
        lit = {names[channel] for channel in channels_lit(lamp, elapsed_s=step / 20 + 0.001)}
        assert lit in (set(), set(LOOKS[lamp][0]))
        assert lit - dead == look_of(lamp, dead)[step]


@pytest.mark.promise("I8")
@each_lamp
def test_a_lamp_that_is_wholly_dead_says_nothing(lamp: Lamp) -> None:
    assert look_of(lamp, frozenset("RGB")) == look_of(Lamp.OFF)
    assert not claims_more(Lamp.OFF, lamp)
