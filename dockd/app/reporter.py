"""Telling the world outside what happened: every event at least once, whenever there is somebody to tell.

Owns when an event is told and when it is given up. What is an event is `domain.event`. Nothing on a clip's way waits
for it or knows it: it reads the custody log, which is its outbox, from behind.
"""

import asyncio
from collections.abc import Mapping, Sequence

from dockd.app.ports import Broker, Chance, Clock, Ledger
from dockd.app.waiting import Bell
from dockd.domain.custody import Link
from dockd.domain.event import ALARMS, Event, event_of, event_type_of
from dockd.domain.model import StationId
from dockd.domain.moment import seconds_before
from dockd.domain.schedule import backoff_s
from dockd.errors import PermanentError, Reason, TransientError

AT_ONCE = 10
"""Events in flight: what a broker that dies may have to be told again."""
PAGE_ENTRIES = 200
"""Custody entries held in memory, whatever the backlog is."""
LOOK_S = 10.0
REST_S = 1.0
"""News of a busy station is told in groups: each costs a look at the log and a commit."""
ANSWER_S = 15.0
"""A broker that gives no answer for so long is away, whatever its connection says."""
LATE_S = 60.0
"""Told later than this, an event is history."""
NEWS_ENTRIES = 50_000
"""What does not ask for somebody's help is given up when it is so many custody entries old, a week of a busy dock: it
stays in the log. Alarms are never given up."""
REFUSED = "events-refused"
"""The cause of the custody entry that says which events a broker does not take: no event itself."""
MOST_WHY_CHARS = 200


class Reporter:
    """Tells events. `run` works until cancelled."""

    def __init__(self, *, ledger: Ledger, broker: Broker, clock: Clock, chance: Chance, station: StationId) -> None:
        """Begin idle."""
        self._ledger = ledger
        self._broker = broker
        self._clock = clock
        self._chance = chance
        self._station = station
        self.bell = Bell()
        self.given_up = 0
        self.refused = 0
        self.failures = 0
        self.reason: Reason | None = None
        self.detail = ""

    async def run(self) -> None:
        """Work for ever."""
        told = await self._ledger.told()
        while True:
            links = await self._ledger.links(after=told, limit=PAGE_ENTRIES)
            if not links:
                await self.bell.heard(within_s=LOOK_S)
                continue
            refused = await self._tell(await self._worth_telling(links))
            if refused:
                await self._write_down(refused)
            told = links[-1].seq
            # After the answers, once a page: what a kill in between repeats is known by its id.
            await self._ledger.record_told(told)
            await self._clock.sleep(REST_S)

    async def _worth_telling(self, links: Sequence[Link]) -> list[Link]:
        types = [(link, event_type_of(link)) for link in links]
        # Where the page is not full, nothing lies after it.
        full = len(links) == PAGE_ENTRIES
        stale = full and bool(await self._ledger.links(after=links[-1].seq + NEWS_ENTRIES, limit=1))
        told = [link for link, type_ in types if type_ in ALARMS or (type_ is not None and not stale)]
        self.given_up += sum(type_ is not None for _, type_ in types) - len(told)
        return told

    async def _tell(self, links: Sequence[Link]) -> Mapping[int, str]:
        """Tell entries, a few at a time, until each was acknowledged or refused; give why, by entry, of the refused."""
        refused: dict[int, str] = {}
        waiting = list(links)
        while waiting:
            window, rest = waiting[:AT_ONCE], waiting[AT_ONCE:]
            # How late it is, it is told anew each time.
            before_utc = seconds_before(self._clock.now().utc, LATE_S)
            events = [event_of(link, station=self._station, historical_before_utc=before_utc) for link in window]
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._answered(event, refused), name=f"tell {event.seq}") for event in events
                ]
            left = [link for link, task in zip(window, tasks, strict=True) if not task.result()]
            waiting = left + rest
            if left:
                self.failures += 1
                await self._clock.sleep(backoff_s(self.failures, jitter=self._chance.jitter()))
            else:
                self.failures, self.reason, self.detail = 0, None, ""
        return refused

    async def _write_down(self, refused: Mapping[int, str]) -> None:
        """Say in the log what stays there alone; one entry, as a broker may refuse all that there is to tell."""
        self.refused += len(refused)
        entries, first = sorted(refused), min(refused)
        facts = {"entries": " ".join(map(str, entries)), "why": refused[first][:MOST_WHY_CHARS]}
        await self._ledger.note(REFUSED, actor="reporter", facts=facts)

    async def _answered(self, event: Event, refused: dict[int, str]) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._broker.publish(event)
        except TimeoutError:
            self.reason, self.detail = Reason.MQTT, f"the broker gave no answer within {ANSWER_S:.0f} s"
            return False
        except TransientError as error:
            self.reason, self.detail = error.reason, str(error)
            return False
        except PermanentError as error:
            # No absence: waiting would hold back all that comes after it, alarms too.
            refused[event.seq] = str(error)
        return True
