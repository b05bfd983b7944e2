"""The settings: one frozen struct a table, one documented field a key.

Owns names, types, ranges and defaults. The text under a field is its reference for people, printed by
`scripts/config-reference` next to its range and default. Must not read files, nor judge one field by another.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from dockd.config import rules
from dockd.domain.model import Assurance, BayId, StationId

MIB = 1024 * 1024
DAY_S = 86_400

AbsolutePath = Annotated[Path, Meta(extra={"rule": rules.absolute_path})]
BoardName = Annotated[str, Meta(extra={"rule": rules.board_name})]
ReceiptKey = Annotated[str, Meta(extra={"rule": rules.receipt_key})]
Label = Annotated[str, Meta(extra={"rule": rules.label})]
TimeOfDay = Annotated[str, Meta(extra={"rule": rules.time_of_day})]


class Verify(StrEnum):
    """Which proof is asked of the store."""

    SIGNED = "signed"
    READBACK = "readback"
    ACCEPTED = "accepted"

    @property
    def assurance(self) -> Assurance:
        """The assurance a clip has once this proof is there."""
        return Assurance(self.value)


class Erase(StrEnum):
    """What may be erased from a camera."""

    RECEIPTED = "receipted"
    NEVER = "never"


class Switch(StrEnum):
    """Whether bays are switched."""

    PLANNED = "planned"
    NEVER = "never"


class LogLevel(StrEnum):
    """The least grave record that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogForm(StrEnum):
    """How a record is written."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every table has in common."""


class Station(Table, frozen=True, kw_only=True):
    """Who this station is, and where it keeps what it must not lose."""

    id: Annotated[StationId, Meta(extra={"rule": rules.station_id})]
    """The name of this station at the store, over MQTT and in every receipt; unique in the force. A receipt is good for
    one station only, so a station that is renamed asks for its receipts anew. There is no default, so that no two
    stations share one."""

    state_dir: AbsolutePath = Path("/var/lib/dockd")
    """The folder of the ledger and of the copied clips, on a disk that holds the longest outage of the store to be
    survived: about 200 GB for a shift of 34 cameras. The default is where systemd's `StateDirectory=dockd` makes it."""


class Bay(Table, frozen=True, kw_only=True):
    """One bay that a camera is pushed into."""

    number: Annotated[BayId, Meta(ge=1, le=34)]
    """The number printed at the bay; no two bays have the same. 34 is the most that one station is built for."""

    name: Label | None = None
    """What people call the bay, shown next to its number. Left out, the number is enough."""

    bus: Label | None = None
    """The bus of a simulated bay; that of a real one stands in the board's file and nowhere else, so that with
    `hardware.board` it is refused here. Bays on one bus copy one clip at a time, since sharing it would make every
    receipt later; bays on two buses copy at the same time. Left out, all bays are on one."""


class Store(Table, frozen=True, kw_only=True):
    """The central store, and what is believed of it."""

    url: Annotated[str, Meta(extra={"rule": rules.store_url})]
    """Where uploads are created: the store's tus 1.0.0 address. https, except on this machine itself, because the
    footage and the token travel there. It ends in '/', since servers tell `/files` and `/files/` apart."""

    verify: Verify = Verify.SIGNED
    """Which proof of a clip is asked for: `signed` is the store's receipt under a key pinned in `receipt_keys`,
    `readback` reads the clip back and compares, `accepted` takes the server's word. Whatever is set here, only a signed
    receipt lets a clip be erased from its camera; the other two are for trying out a store that gives none."""

    receipt_keys: tuple[ReceiptKey, ...] = ()
    """The public keys whose receipts are believed: each `ed25519:` and the 32 bytes as base64url, as
    `dockd central --show-key` prints it, or the absolute path of a file of such lines or of a PEM key. Several are
    allowed, so that the store can change its key. Needed with `verify = "signed"`, and refused without it. They are
    pinned here, apart from TLS: whoever holds a certificate for the store's name still cannot make a camera forget."""

    ca_file: AbsolutePath | None = None
    """A PEM file of the certificate authorities that the store's certificate must come from. Left out, those of the
    system are trusted."""

    cert_file: AbsolutePath | None = None
    """This station's own certificate (PEM, with its chain), where the store asks for one. Goes with `key_file`."""

    key_file: AbsolutePath | None = None
    """The private key of `cert_file` (PEM, without a passphrase), readable by dockd and by nobody else."""

    token_file: AbsolutePath | None = None
    """A file whose first line is the token that the store lets this station in with, readable by dockd and by nobody
    else. The token itself never stands in the configuration, which is shown, copied and kept under version control."""

    connect_timeout_s: Annotated[float, Meta(ge=1, le=120)] = 10.0
    """How long a connection to the store may take to come about, name and TLS included. The default allows for a lost
    packet or two on a bad line."""

    stall_timeout_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    """How long an upload may stand still, or an answer take, before it is broken off and resumed at the byte. A slow
    upload that moves is never broken off. The default is longer than a mobile line takes to come back."""

    limit_bytes_s: Annotated[int, Meta(ge=0, le=10**12, extra={"rule": rules.limit})] = 0
    """The most that all uploads together may send, so that the line is left to others; 0 is no limit. At least 16 KiB a
    second otherwise: less would not bring one shift home before the next."""

    uploads_at_once: Annotated[int, Meta(ge=1, le=8)] = 2
    """How many clips go up at the same time. Few, because a clip is safe only when it is whole: the default lets one
    wait for its receipt while the next one sends."""

    receipt_deadline_s: Annotated[float, Meta(ge=10, le=DAY_S)] = 120.0
    """How long after the last byte the store may take over a receipt before the clip is shown as stuck, on top of the
    time that its length takes to be read again. Nothing is lost by waiting: the receipt is asked for until it is there,
    and until then the clip stays on its camera."""


class Offload(Table, frozen=True, kw_only=True):
    """Copying clips off cameras, and erasing them."""

    stall_s: Annotated[float, Meta(ge=5, le=300)] = 30.0
    """How long a read from a camera may give nothing before its copier is given up and the clip tried again. The
    default is longer than a card takes over a weak sector."""

    growing_wait_s: Annotated[float, Meta(ge=2, le=60)] = 5.0
    """How long a file must keep its length before it is copied, where it was still growing. The least is the step of
    the times that a FAT card keeps."""

    erase: Erase = Erase.RECEIPTED
    """`receipted` erases a clip from its camera once a signed receipt for it is kept here and the file, read again,
    still has its digest. `never` erases nothing: for a trial, or where cameras are cleared by other means. There is no
    setting that erases more."""


class Spool(Table, frozen=True, kw_only=True):
    """The copies that wait on this station's disk."""

    reserve_bytes: Annotated[int, Meta(ge=64 * MIB, le=10**13)] = 512 * MIB
    """What copying must leave free on the disk of `station.state_dir`. It is the ledger's, never given away: a full
    station stops copying, keeps everything and says so. The default is room for years of custody entries."""

    grace_s: Annotated[float, Meta(ge=0, le=30 * DAY_S)] = 0.0
    """How long a copy stays here after its receipt is kept, unless a file waits for its room. The default removes it at
    once: footage that is not here cannot be stolen with the station."""


class Control(Table, frozen=True, kw_only=True):
    """The local socket that `dockctl` talks to."""

    socket: Annotated[Path, Meta(extra={"rule": rules.socket_path})] = Path("/run/dockd/control.sock")
    """Where the socket is. The default is in the folder that systemd's `RuntimeDirectory=dockd` makes; `dockctl` looks
    there unless told otherwise."""

    group: Annotated[str, Meta(extra={"rule": rules.group})] = "dockd"
    """The group whose members may use the socket. Nothing that goes over it can erase footage."""


class Hardware(Table, frozen=True, kw_only=True):
    """The board that the bays of this station are wired to."""

    board: BoardName | None = None
    """Which USB port, lamp, power switch and sensor each bay has: the name of a file of hw/boards, without `.toml`, or
    the absolute path of one, such as `/etc/dockd/board.toml`, which root's helper reads. Every `[[bays]]` has to be on
    it; bays of it that have no `[[bays]]` are left alone. hw/README.md says what is in it. Left out, there are no bays
    but simulated ones."""


class Charging(Table, frozen=True, kw_only=True):
    """Who charges when, where bays have switches; how much current a bay may draw, and how hot it may be."""

    switch: Switch = Switch.PLANNED
    """`planned` takes bays their power, and gives it back, so that all together stay within the budget and the most
    cameras are ready for the next shift; a bay that draws too much or is too hot is cut. `never` leaves every bay its
    power, whatever becomes of it, and only shows what is wrong: for a supply that is enough for all."""

    shifts: tuple[TimeOfDay, ...] = ()
    """When officers come for cameras: times of day in this machine's own time zone, such as `["06:00", "14:00"]`.
    Without any, or while the clock was not set yet, whoever needs least charges first."""

    issue_pct: Annotated[int, Meta(ge=10, le=100)] = rules.ISSUE_PCT
    """The charge from which a camera may be issued: its light says *go* from there. A camera that does not tell its
    charge is not kept back by it. The default is what a battery holds before its charging slows down."""

    full_pct: Annotated[int, Meta(ge=10, le=100)] = rules.FULL_PCT
    """The charge from which a camera needs no more, and is the first to make room for others. At least `issue_pct`."""

    budget_ma: Annotated[int, Meta(ge=500, le=100_000)] | None = None
    """The current that all bays together may draw, where that is to be less than the board's `budget_ma`, such as on a
    socket that is shared. Left out, it is the board's."""

    camera_ma: Annotated[int, Meta(ge=100, le=3000)] = rules.CAMERA_MA
    """What a camera is taken to draw while it charges, where its bay has no sensor or nothing was measured yet. The
    default is what a USB 2 port gives."""

    battery_mah: Annotated[int, Meta(ge=200, le=20_000)] = 4500
    """What a camera's battery is taken to hold: minutes to ready are reckoned from it. The default takes nine hours at
    the default current, which is slow for a camera of today: one that is ready sooner than said troubles nobody."""

    most_ma: Annotated[int, Meta(ge=200, le=5000)] = rules.MOST_MA
    """The most that one bay may draw; one that draws more is cut, and tried again ten minutes later. Cut for the third
    time, with less than a day between, it stays so until `dockd run` starts anew: somebody has to look at it first. The
    default has room above the 1500 mA that a charging port may give. More than `camera_ma`."""

    hot_c: Annotated[float, Meta(ge=30, le=90)] = rules.HOT_C
    """The temperature at which a bay is cut, where its sensor has a thermometer. The default is where lithium cells
    must no longer be charged."""

    cool_c: Annotated[float, Meta(ge=0, le=85)] = rules.COOL_C
    """The temperature from which a bay that was cut for its heat has power again. Less than `hot_c`."""


class Simulate(Table, frozen=True, kw_only=True):
    """The cameras of `dockd run --simulate`; without that option the table has no effect."""

    cameras: Annotated[int, Meta(ge=1, le=34)] = 4
    """How many simulated cameras there are; more of them than bays take turns. The default shows several at work."""

    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    """What decides the dockings and the clips: the same seed gives the same shift. Any default would do."""

    bus_bytes_s: Annotated[int, Meta(ge=16 * 1024, le=10**10)] = 38_000_000
    """How fast each bus reads. The default is what the USB 2 bus of a Raspberry Pi was measured to carry."""

    speed: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    """How many times as fast as life officers come and go. The default is life: a shift change takes minutes."""


class Log(Table, frozen=True, kw_only=True):
    """What dockd writes about itself, to standard error."""

    level: LogLevel = LogLevel.INFO
    """The least grave record that is written: `debug`, `info`, `warning` or `error`. Custody is not kept here but in
    the ledger, so no level loses any of it."""

    form: LogForm = LogForm.AUTO
    """`text` for people, `json` for machines (one object a line), `auto` for text on a terminal and JSON elsewhere."""


class Config(Table, frozen=True, kw_only=True):
    """A whole configuration, checked."""

    station: Station
    """Who this station is."""

    bays: Annotated[tuple[Bay, ...], Meta(min_length=1, max_length=34)]
    """The bays, one `[[bays]]` each; at least one and at most 34."""

    store: Store
    """The central store."""

    offload: Offload = Offload()
    """Copying and erasing."""

    spool: Spool = Spool()
    """The copies that wait here."""

    control: Control = Control()
    """The socket of `dockctl`."""

    hardware: Hardware = Hardware()
    """The board."""

    charging: Charging = Charging()
    """Charging."""

    simulate: Simulate = Simulate()
    """Simulated cameras."""

    log: Log = Log()
    """The log."""
