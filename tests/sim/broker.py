"""A broker that comes and goes: the port Broker, and everything that it was ever told."""

import asyncio
from random import Random

from dockd.domain.event import Event
from dockd.errors import PermanentError, Reason, TransientError
from tests.sim.fate import Fate, Fault


class SimBroker:
    """Takes events or does not. Its delays are its own chance, so that it cannot change what else happens."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._random = Random(11)
        self.dead = False
        self.refuses = ""
        self.taken: dict[str, bytes] = {}
        self.repeats = 0
        self.in_flight = 0
        self.most_in_flight = 0

    async def publish(self, event: Event) -> None:
        """Take an event, or fail in one of the ways of a broker."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._publish(event)
        finally:
            self.in_flight -= 1

    async def _publish(self, event: Event) -> None:
        await asyncio.sleep(self._random.uniform(0.001, 0.2))
        if self.dead or self._fate.lasts(Fault.BROKER_AWAY):
            raise TransientError(Reason.MQTT, "the broker is away")
        if self._fate.strikes(Fault.BROKER_SILENT):
            await asyncio.sleep(86_400)
        if event.type.value == self.refuses:
            raise PermanentError(Reason.MQTT, f"not authorised to publish {event.type.value}")
        self.repeats += event.id in self.taken
        self.taken.setdefault(event.id, event.body)
        if self._fate.strikes(Fault.BROKER_LOST_ANSWER):
            raise TransientError(Reason.MQTT, "the connection broke before the answer")
