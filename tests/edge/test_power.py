"""Which bays can be switched: the switches found behind root's helper, and several kinds of switches as one."""

import asyncio

import pytest

from dockd.domain.model import BayId
from dockd.edges.power import HubPower, StationPower
from dockd.errors import InvariantError, PermanentError, Reason, TransientError
from dockd.sim.charger import SimCharger

ONE, TWO, THREE, FOUR = BayId(1), BayId(2), BayId(3), BayId(4)


class Ports:
    """Ports as root's helper has them: some can be switched, some cannot, one does not answer."""

    def __init__(self) -> None:
        self.on = {ONE: True, TWO: False}
        self.away = {THREE}

    async def power(self, bay: BayId, *, on: bool) -> None:
        await self.powered(bay)
        self.on[bay] = on

    async def powered(self, bay: BayId) -> bool:
        if bay in self.away:
            raise TransientError(Reason.POWER, f"bay {bay}: the hub does not answer")
        if bay not in self.on:
            raise PermanentError(Reason.POWER, f"bay {bay}: no switch in its port")
        return self.on[bay]


async def test_what_can_be_switched_is_found_and_why_the_rest_cannot_is_said() -> None:
    ports = Ports()
    power, missing = await HubPower.found(ports, wanted=[FOUR, THREE, TWO, ONE])
    assert power.switchable() == {ONE, TWO}
    assert missing == {THREE: "bay 3: the hub does not answer", FOUR: "bay 4: no switch in its port"}
    assert ports.on == {ONE: True, TWO: False}  # only looked at


async def test_a_port_that_could_be_switched_and_cannot_now_may_be_able_to_later() -> None:
    ports = Ports()
    power, _ = await HubPower.found(ports, wanted=[ONE])
    del ports.on[ONE]
    with pytest.raises(TransientError, match="bay 1: no switch in its port") as caught:
        await power.set(ONE, on=False)
    assert caught.value.reason is Reason.POWER
    ports.away = {ONE}
    with pytest.raises(TransientError, match="bay 1: the hub does not answer"):
        await power.set(ONE, on=False)


class SlowPorts(Ports):
    """Ports that count who waits for an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.on = {BayId(number): True for number in range(1, 15)}
        self.now = self.most = 0

    async def powered(self, bay: BayId) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return self.on[bay]


async def test_bays_are_asked_for_side_by_side_as_a_hub_may_not_answer_at_all() -> None:
    ports = SlowPorts()
    power, missing = await HubPower.found(ports, wanted=list(ports.on))
    assert (power.switchable(), missing, ports.most) == (frozenset(ports.on), {}, 14)


async def test_a_port_that_is_known_to_have_power_is_not_asked_to_give_it_and_any_other_is() -> None:
    ports = Ports()
    power, _ = await HubPower.found(ports, wanted=[ONE, TWO])
    ports.away = {ONE}
    await power.set(ONE, on=True)  # it had power when it was found
    ports.away = set()
    await power.set(TWO, on=True)
    assert ports.on == {ONE: True, TWO: True}
    ports.away = {TWO}
    with pytest.raises(TransientError):
        await power.set(TWO, on=False)
    ports.away, ports.on[TWO] = set(), False  # it was cut all the same
    await power.set(TWO, on=True)
    assert ports.on[TWO]
    await power.set(TWO, on=False)
    ports.on[TWO] = True  # it came back with its hub
    await power.set(TWO, on=False)
    assert not ports.on[TWO]


async def test_hub_ports_and_relays_are_switched_as_one() -> None:
    hub, relays = SimCharger(can=frozenset({ONE})), SimCharger(can=frozenset({TWO}))
    power = StationPower([hub, relays])
    assert power.switchable() == {ONE, TWO}
    await power.set(TWO, on=False)
    assert (hub.dark, relays.dark) == (set(), {TWO})


def test_a_bay_that_two_switch_is_refused() -> None:
    with pytest.raises(InvariantError, match=r"bays \[1\]: two switches each"):
        StationPower([SimCharger(can=frozenset({ONE})), SimCharger(can=frozenset({ONE, TWO}))])
