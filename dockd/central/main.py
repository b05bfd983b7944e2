"""`dockd central`: opens the store's parts, serves, and ends cleanly.

Owns start and stop: the lock on the folder, the order of opening and closing, exit codes. The only module here that
knows every part.
"""

import asyncio
import errno
import logging
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from dockd.central import index
from dockd.central.accesslog import AccessLog
from dockd.central.accounting import Accounting
from dockd.central.app import http_log, make_app
from dockd.central.connections import ACCEPTED_AT_ONCE, door, most_connections
from dockd.central.database import Database
from dockd.central.evidence import Evidence
from dockd.central.finishing import Finisher
from dockd.central.gate import Gate
from dockd.central.opening import InUseError, listen, locked, read_credentials, tls_context
from dockd.central.options import CentralOptions, add_arguments, check, options_from
from dockd.central.partials import Partials
from dockd.central.reading import Reading
from dockd.central.receiving import Receiver
from dockd.central.signing import KEY_FILE, Signer, open_signer
from dockd.central.slots import Slots
from dockd.central.store import Store
from dockd.central.threads import Threads
from dockd.central.uploading import FILES, Uploading
from dockd.durable import sync_folder
from dockd.errors import ConfigError, InvariantError, StartRefusedError, TransientError

__all__ = ["CentralOptions", "Serving", "add_arguments", "options_from", "run", "serve"]

_log = logging.getLogger(__name__)
_EX_OK = 0
_EX_UNAVAILABLE = 69
_EX_TEMPFAIL = 75
_EX_NOPERM = 77
_EX_CONFIG = 78
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHUTDOWN_S = 2.0
_WAITING = 1024
_READ_BYTES = 128 * 1024
"""What aiohttp may hold of a body before it stops reading from the socket: twice this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A store that listens: where stations upload, and the key they pin."""

    url: str
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a store works with, opened: everything that waits for the disk to open."""

    threads: Threads
    database: Database
    partials: Partials
    evidence: Evidence
    signer: Signer
    log: AccessLog
    gate: Gate
    tls: ssl.SSLContext | None
    listener: socket.socket


def run(options: CentralOptions) -> int:
    """Serve until SIGTERM or SIGINT, or print the public key. Returns a sysexits code; words go to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        if options.show_key:
            sys.stdout.write(f"{_shown_key(options.dir)}\n")
            return _EX_OK
        check(options)
        asyncio.run(_serve_until_signalled(options))
    except (InUseError, TransientError) as error:
        return _say(error, _EX_TEMPFAIL)
    except (ConfigError, StartRefusedError) as error:
        return _say(error, _EX_CONFIG)
    except PermissionError as error:
        return _say(error, _EX_NOPERM)
    except OSError as error:
        return _say(error, _EX_TEMPFAIL if error.errno in _NO_ROOM else _EX_UNAVAILABLE)
    return _EX_OK


@asynccontextmanager
async def serve(
    options: CentralOptions, *, now_utc: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Serving]:
    """Run a store in this event loop for as long as the block runs.

    Raises:
        ConfigError: the options are wrong, or would expose evidence.
        StartRefusedError: the folder is in use, damaged, or newer.
        TransientError: DISK_FULL or DISK, the index cannot be opened now.
        OSError: the address cannot be listened on, or the folder not be written.

    """
    check(options)
    opened = ExitStack()
    parts = await asyncio.to_thread(_open, options, opened, now_utc)
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            sweeper: asyncio.Task[None] | None = None
            try:
                store = _store(options, parts, tasks, now_utc)
                await store.recover()
                await store.sweep()
                sweeper = tasks.create_task(_sweep(store, every_s=options.sweep_s), name="expire unfinished uploads")
                async with _listening(options, parts, store, now_utc) as url:
                    yield Serving(url=url, public_key=parts.signer.public_key)
            except Exception as error:  # noqa: BLE001 - raised again below, not wrapped into the group of our tasks
                failure = error
            finally:
                if sweeper is not None:
                    sweeper.cancel()
                parts.evidence.stop()
        if failure is not None:
            raise failure
    finally:
        await asyncio.to_thread(opened.close)


async def _serve_until_signalled(options: CentralOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(options) as serving:
        sys.stdout.write(f"listening on {serving.url}\n")
        sys.stdout.flush()
        sys.stderr.write(f"dockd central: {options.dir}: receipts as {options.name} under {serving.public_key}\n")
        await stop.wait()


def _shown_key(folder: Path) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / KEY_FILE).exists():
        return open_signer(folder).public_key
    with locked(folder):  # a store that starts just now must not make another key
        return open_signer(folder).public_key


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"dockd central: {error}\n")
    return code


async def _sweep(store: Store, *, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await store.sweep()
        except (sqlite3.Error, OSError) as error:
            _log.error("sweep: %s: unfinished uploads stay for now", error)


def _open(options: CentralOptions, opened: ExitStack, now_utc: Callable[[], datetime]) -> _Parts:
    with ExitStack() as undo:
        folder = options.dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        undo.enter_context(locked(folder))
        tls = tls_context(options)
        gate = Gate(credentials=read_credentials(options.token_file), certificates=options.client_ca is not None)
        listener = listen(options)
        undo.callback(listener.close)
        signer = open_signer(folder)
        (folder / "uploads").mkdir(exist_ok=True)
        evidence = Evidence(folder / "objects")
        evidence.prepare()
        threads = Threads()
        database = Database(folder / "index.sqlite3", migrations=index.MIGRATIONS)
        undo.callback(database.close)
        log = AccessLog(folder / "access.log", threads=threads, now_utc=now_utc)
        undo.callback(log.close)
        # All names made above, and the folder's own: what a receipt rests on must not vanish with the folder.
        sync_folder(folder)
        with suppress(PermissionError):  # whoever keeps us from its parent has made the folder for us
            sync_folder(folder.resolve().parent)
        undo.callback(threads.close)
        opened.push(undo.pop_all())
        return _Parts(
            threads=threads,
            database=database,
            partials=Partials(folder / "uploads", reserve_bytes=options.reserve_bytes),
            evidence=evidence,
            signer=signer,
            log=log,
            gate=gate,
            tls=tls,
            listener=listener,
        )


def _store(options: CentralOptions, parts: _Parts, tasks: asyncio.TaskGroup, now_utc: Callable[[], datetime]) -> Store:
    finisher = Finisher(
        store_name=options.name,
        database=parts.database,
        partials=parts.partials,
        evidence=parts.evidence,
        signer=parts.signer,
        threads=parts.threads,
        tasks=tasks,
        now_utc=now_utc,
    )
    return Store(
        max_bytes=options.max_bytes,
        expire_s=options.expire_s,
        most_unfinished=options.most_unfinished,
        database=parts.database,
        partials=parts.partials,
        evidence=parts.evidence,
        receiver=Receiver(partials=parts.partials, threads=parts.threads),
        finisher=finisher,
        slots=Slots(most=options.most_writers, stall_s=options.stall_s, takeover_s=options.takeover_s),
        threads=parts.threads,
        now_utc=now_utc,
    )


@asynccontextmanager
async def _listening(
    options: CentralOptions, parts: _Parts, store: Store, now_utc: Callable[[], datetime]
) -> AsyncIterator[str]:
    accounting = Accounting(
        database=parts.database,
        partials=parts.partials,
        gate=parts.gate,
        log=parts.log,
        store_name=options.name,
        stall_s=options.stall_s,
        now_utc=now_utc,
    )
    app = make_app(
        accounting=accounting,
        uploading=Uploading(store=store, gate=parts.gate),
        reading=Reading(database=parts.database, evidence=parts.evidence, gate=parts.gate, log=parts.log),
    )
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=http_log(),
        auto_decompress=False,  # the bytes on the wire are the bytes declared
        keepalive_timeout=options.stall_s,  # also ends a connection whose request line or headers do not come
        lingering_time=0.0,  # `app` does it
        read_bufsize=_READ_BYTES,
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        server = runner.server
        if server is None:
            raise InvariantError("HTTP server: not set up, expected one after setup()")
        most = options.most_connections or most_connections()
        listening = await asyncio.get_running_loop().create_server(
            door(server, inside=lambda: server.connections, most=most),
            sock=parts.listener,
            ssl=parts.tls,
            backlog=ACCEPTED_AT_ONCE,
        )
        parts.listener.listen(_WAITING)  # asyncio has one number for how many may wait and how many it takes at once
        scheme = "http" if parts.tls is None else "https"
        host = f"[{options.host}]" if ":" in options.host else options.host
        try:
            yield f"{scheme}://{host}:{parts.listener.getsockname()[1]}{FILES}"
        finally:
            listening.close()
    finally:
        await runner.cleanup()
