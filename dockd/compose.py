"""The composition root: the only place that builds edges and wires them to the app.

Owns which edge stands behind which port, and the order of opening and closing. Decides nothing else.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from dockd.app.account_ports import Accounting
from dockd.app.charging import Gear
from dockd.app.policy import Policy
from dockd.app.ports import CameraFeed, Cards, Lamps
from dockd.app.station import Ports, Station
from dockd.config import Config, Erase, Verify
from dockd.config.wording import meant
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, Clip, ClipKey
from dockd.domain.receipt import ReceiptError
from dockd.edges.accounts_http import StoreAccounts
from dockd.edges.card import FolderCards
from dockd.edges.clock import SystemChance, SystemClock
from dockd.edges.control.documents import report_document
from dockd.edges.control.server import Desk, serving
from dockd.edges.control.shape import Document
from dockd.edges.copier_process import Patience
from dockd.edges.folder import volume_of
from dockd.edges.guard import guarding
from dockd.edges.keys import PinnedKeys, remember
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.start import open_ledger
from dockd.edges.logs import set_up
from dockd.edges.profiled import ProfiledCards
from dockd.edges.profiles import load_profiles
from dockd.edges.seal import public_key_of, verifies
from dockd.edges.spool import DiskSpool
from dockd.edges.systemd import Systemd, systemd_of
from dockd.edges.tus_http import TusWire, WireOptions
from dockd.errors import ConfigError, Problem
from dockd.sim.shift import Shift, simulated_shift

PAGE = 500
ONE_BUS = "usb"

__all__ = [
    "NoLamps",
    "Plan",
    "Running",
    "Shift",
    "WireOptions",
    "cards_by",
    "config_plan",
    "control_socket",
    "log_to",
    "pinned_keys",
    "running",
    "simulated",
    "simulated_shift",
    "volume_of",
    "watched",
]


class CardsOf(Protocol):
    """Makes what opens cards."""

    def __call__(self, spool: Path, *, erase: bool, patience: Patience) -> Cards:
        """Take the spool's folder, whether anything may ever be erased, and how long silence is borne."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that tells one station from another.

    `bays` gives each bay's bus; `gear` is its power, where it has any to share; `cards` opens the cards of what `feed`
    tells; `pace` slows them down, for a demonstration that can be watched.
    """

    bays: Mapping[BayId, str]
    policy: Policy
    state_dir: Path
    wire: WireOptions
    keys: PinnedKeys
    feed: CameraFeed
    lamps: Lamps
    gear: Gear | None = None
    cards: CardsOf = FolderCards
    pace: Callable[[Cards], Cards] | None = None
    stall_s: float = 30.0


class NoLamps:
    """Lamps of a station that has none."""

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A station at work, and its ledger for those who only read."""

    station: Station
    ledger: StationLedger
    keys: PinnedKeys

    async def clips_of_bay(self, bay: BayId) -> AsyncIterator[Clip]:
        """Give every clip of the camera that is docked in a bay, a page at a time."""
        docking, after = self.station.docking(bay), ClipKey(0)
        while docking is not None:
            page = await self.ledger.query(views.clips(docking=docking, after=after, limit=PAGE))
            for clip in page:
                yield clip
            if len(page) < PAGE:
                return
            after = page[-1].key

    def is_proven(self, clip: Clip) -> bool:
        """Say whether a clip's receipt is one that the pinned keys stand for."""
        try:
            self.keys.verify(clip.receipt or "")
        except ReceiptError:
            return False
        return True


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Running]:
    """Run a station for as long as the block runs.

    Raises:
        StartRefusedError: the state folder is not fit to be worked on, or is in use.
        ExceptionGroup: of what broke the station while it ran.

    """
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        ledger = await open_ledger(plan.state_dir, station=plan.policy.station, now=clock.now)
        opened.push_async_callback(ledger.close)
        folder = plan.state_dir / "spool"
        spool = await DiskSpool.open(folder)
        wire = TusWire(plan.wire)
        opened.push_async_callback(wire.close)
        await asyncio.to_thread(remember, plan.state_dir, plan.keys)
        cards = plan.cards(folder, erase=plan.policy.erase, patience=Patience(stall_s=plan.stall_s))
        ports = Ports(
            feed=plan.feed,
            cards=plan.pace(cards) if plan.pace else cards,
            spool=spool,
            ledger=ledger,
            wire=wire,
            keys=plan.keys,
            lamps=plan.lamps,
            clock=clock,
            chance=SystemChance(),
            accounting=Accounting(
                store=StoreAccounts(wire, endpoint=plan.policy.endpoint, station=plan.policy.station),
                book=ledger.accounts,
            ),
            gear=plan.gear,
        )
        station = Station(bays=plan.bays, ports=ports, policy=plan.policy)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(station.run(), name="station")
            guard = group.create_task(guarding(ledger=ledger, spool=spool, clock=clock), name="guard")
            try:
                yield Running(station=station, ledger=ledger, keys=plan.keys)
            finally:
                work.cancel()
                guard.cancel()


@asynccontextmanager
async def simulated(config: Config) -> AsyncIterator[Plan]:
    """Plan a station whose cameras are simulated, as its configuration says; their folders go when the block ends."""
    # A folder of its own: the state folder is another daemon's until its lock is ours.
    root = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="dockd-simulated-"))
    try:
        shift = await asyncio.to_thread(
            simulated_shift,
            root=root,
            cameras=config.simulate.cameras,
            bays=[bay.number for bay in config.bays],
            seed=config.simulate.seed,
            clock=SystemClock(),
            bus_bytes_s=config.simulate.bus_bytes_s,
            speed=config.simulate.speed,
        )
        yield config_plan(config, feed=shift.feed, lamps=shift.lamps, pace=shift.pace)
    finally:
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


@asynccontextmanager
async def control_socket(config: Config, run: Running, *, group: str | None) -> AsyncIterator[None]:
    """Answer dockctl for as long as the block runs."""

    async def verify() -> Document:
        folder = config.station.state_dir
        key = await asyncio.to_thread(public_key_of, folder)
        check = partial(verify_state, folder, run.keys.verify, key=key, check=verifies)
        return report_document(await asyncio.to_thread(check))

    desk = Desk(
        view=run.station.view,
        names={bay.number: bay.name or "" for bay in config.bays},
        ledger=run.ledger,
        verify=verify,
        quarantine=run.station.quarantine,
        pointing=run.station.pointing,
    )
    async with serving(desk, path=config.control.socket, group=group):
        yield


def watched() -> Systemd:
    """Find who watches this process, from its environment."""
    return systemd_of(os.environ, pid=os.getpid())


def log_to(config: Config, stream: TextIO) -> None:
    """Write the log as the configuration says."""
    set_up(config.log, stream=stream)


def pinned_keys(texts: Sequence[str], *, setting: str) -> PinnedKeys:
    """Pin receipt keys given as text or files.

    Raises:
        ConfigError: every text that holds none.

    """
    return PinnedKeys.read(texts, setting=setting)


def cards_by(name: str | None, *, setting: str) -> CardsOf:
    """Give what opens folders as a profile reads them, without one as they are; `setting` is where it was named.

    Raises:
        ConfigError: there is no such profile, or a file of profiles cannot be so.

    """
    if name is None:
        return FolderCards
    profiles = {profile.name: profile for profile in load_profiles()}
    if name not in profiles:
        expected = f"a profile that there is: {' '.join(profiles) or 'there is none'}"
        raise ConfigError([Problem(path=setting, value=repr(name), expected=expected, hint=meant(name, [*profiles]))])

    def cards(spool: Path, *, erase: bool, patience: Patience) -> Cards:
        return ProfiledCards(FolderCards(spool, erase=erase, patience=patience), profile_of=lambda _: profiles[name])

    return cards


def config_plan(config: Config, *, feed: CameraFeed, lamps: Lamps, pace: Callable[[Cards], Cards] | None) -> Plan:
    """Turn a checked configuration into a plan."""
    store = config.store
    return Plan(
        bays={bay.number: bay.bus or ONE_BUS for bay in config.bays},
        policy=Policy(
            station=config.station.id,
            endpoint=store.url,
            wanted=store.verify.assurance,
            erase=config.offload.erase is Erase.RECEIPTED and store.verify is Verify.SIGNED,
            reserve_bytes=config.spool.reserve_bytes,
            grace_s=config.spool.grace_s,
            uploads_at_once=store.uploads_at_once,
            growing_wait_s=config.offload.growing_wait_s,
            receipt_s=store.receipt_deadline_s,
            issue_charge_pct=config.charging.issue_pct,
        ),
        state_dir=config.station.state_dir,
        wire=WireOptions(
            endpoint=store.url,
            ca_file=store.ca_file,
            cert_file=store.cert_file,
            key_file=store.key_file,
            token_file=store.token_file,
            connect_timeout_s=store.connect_timeout_s,
            stall_timeout_s=store.stall_timeout_s,
            limit_bytes_s=store.limit_bytes_s or None,
        ),
        keys=pinned_keys(store.receipt_keys, setting="store.receipt_keys"),
        feed=feed,
        lamps=lamps,
        pace=pace,
        stall_s=config.offload.stall_s,
    )
