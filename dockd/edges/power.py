"""The switches of bays: hub ports, which root's helper switches, and whatever else implements the port, as one.

Owns which bays can be switched: what a board file says is only asked for, and the kernel's hub port has the last word.
Must not know sysfs, pins, nor how the helper is reached.

Source: Linux, Documentation/ABI/testing/sysfs-bus-usb, `<hub_interface>/port<X>/disable` (since 6.0): it switches VBUS
where the hub can, and ends the device's being there in any case.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from dockd.app.power_ports import Power
from dockd.domain.model import BayId
from dockd.errors import InvariantError, PermanentError, Reason, TransientError


class PortSwitch(Protocol):
    """What is needed of root's helper."""

    async def power(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay's port.

        Raises:
            PermanentError: POWER, the port cannot be switched.
            TransientError: POWER, the hub, or the helper, does not answer.

        """
        ...

    async def powered(self, bay: BayId) -> bool:
        """Say whether a bay's port has power. Raises as `power` does."""
        ...


class HubPower:
    """Implements the port Power for bays whose hub switches their port."""

    def __init__(self, switch: PortSwitch, *, bays: Mapping[BayId, bool]) -> None:
        """Take the bays that `found` found, and whether each had power."""
        self._switch = switch
        self._bays = frozenset(bays)
        # A port loses its power by nobody else: one that is known to have it need not be given it. It may come back by
        # itself, with its hub, so that a cut is always asked for.
        self._powered = {bay for bay, on in bays.items() if on}

    @classmethod
    async def found(cls, switch: PortSwitch, *, wanted: Collection[BayId]) -> tuple["HubPower", Mapping[BayId, str]]:
        """Ask for the switch of every bay that should have one; give those that have, and why the others have not."""
        found: dict[BayId, bool] = {}
        missing: dict[BayId, str] = {}

        async def ask(bay: BayId) -> None:
            try:
                found[bay] = await switch.powered(bay)
            except (PermanentError, TransientError) as error:
                missing[bay] = str(error)

        async with asyncio.TaskGroup() as group:
            for bay in wanted:
                group.create_task(ask(bay), name=f"switch of bay {bay}")
        return cls(switch, bays=found), missing

    def switchable(self) -> frozenset[BayId]:
        """Say which bays can be switched."""
        return self._bays

    async def set(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay's port; fine where it is so already."""
        if bay not in self._bays:
            raise InvariantError(f"bay {bay}: it cannot be switched, expected one of {sorted(self._bays)}")
        if on and bay in self._powered:
            return
        self._powered.discard(bay)
        try:
            await self._switch.power(bay, on=on)
        except PermanentError as error:
            # It could be when it was found: perhaps its hub is away for a moment.
            raise TransientError(Reason.POWER, str(error)) from error
        if on:
            self._powered.add(bay)


class StationPower:
    """Implements the port Power over several: hub ports, relays. No bay is switched by two of them."""

    def __init__(self, parts: Sequence[Power]) -> None:
        """Take the parts; a bay that two of them can switch is a fault of whoever wired them."""
        self._part_of: dict[BayId, Power] = {}
        for part in parts:
            twice = sorted(part.switchable() & self._part_of.keys())
            if twice:
                raise InvariantError(f"bays {twice}: two switches each, expected one")
            self._part_of |= dict.fromkeys(part.switchable(), part)

    def switchable(self) -> frozenset[BayId]:
        """Say which bays can be switched."""
        return frozenset(self._part_of)

    async def set(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay, by whoever can."""
        part = self._part_of.get(bay)
        if part is None:
            raise InvariantError(f"bay {bay}: it cannot be switched, expected one of {sorted(self._part_of)}")
        await part.set(bay, on=on)
