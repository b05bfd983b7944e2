"""Upload of one file by one PATCH: processor time of ours against curl, in one run and against one sink.

    .venv/bin/python -m tests.bench.bench_upload [--mib 256] [--rounds 3] [--tls] [--small 0]

Prints CPU seconds per GiB of each (the least of the rounds) and their ratio. Ours is what an upload costs in a daemon
that already runs; curl's includes its start, which is why small files say little. `--small N` sends N bodies of 4 KiB
too, over kept connections, and prints CPU milliseconds a request.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import ssl
import sys
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from dockd.edges.tus_http import TusWire, WireOptions
from dockd.tus.message import BodyRange, Request
from tests.tus_peers import Authority

GIB = 1024**3
SINK_BUFFER_BYTES = 1024 * 1024


def answer_for(head: bytes) -> tuple[int, bytes]:
    """Give the length of the body that a request's head announces, and the answer to it."""
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
    length_bytes = int(fields[b"content-length"])
    answer = b"HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %d\r\n\r\n" % length_bytes
    return length_bytes, answer


def serve(connection: socket.socket) -> None:
    """Read requests and forget them, until the peer is gone."""
    buffer = memoryview(bytearray(SINK_BUFFER_BYTES))
    pending = b""
    while True:
        while b"\r\n\r\n" not in pending:
            got = connection.recv(65536)
            if not got:
                return
            pending += got
        head, _, body = pending.partition(b"\r\n\r\n")
        left_bytes, answer = answer_for(head)
        if b"100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left_bytes -= len(body)
        while left_bytes:
            left_bytes -= connection.recv_into(buffer, min(left_bytes, SINK_BUFFER_BYTES))
        connection.sendall(answer)
        pending = b""


def sink(pipe: Pipe, certificate: str | None) -> None:
    """Accept one connection after another, in a process of its own."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        while True:
            plain, _ = listener.accept()
            try:
                with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                    serve(connection)
            except OSError as error:
                sys.stderr.write(f"sink: {error}\n")


async def ours(options: WireOptions, request: Request, source: Path, *, times: int = 1) -> float:
    """Send with an edge that has sent before; gives CPU seconds."""
    wire = TusWire(options)
    try:
        first = Request(method="PATCH", url=request.url, headers=(), body=BodyRange(offset_bytes=0, length_bytes=1))
        await wire.exchange(first, source=source, progress=lambda _: None)
        before_s = time.process_time()
        for _ in range(times):
            response = await wire.exchange(request, source=source, progress=lambda _: None)
            if response.status != 204:
                raise SystemExit(f"the sink answered {response.status}, expected 204")
        return time.process_time() - before_s
    finally:
        await wire.close()


def curl(url: str, source: Path, ca: Path | None) -> float:
    """Send the same by curl; gives CPU seconds of its process."""
    trust = ["--cacert", str(ca)] if ca else []
    command = ["curl", "-sS", *trust, "-X", "PATCH", "-H", "Expect:", "-T", str(source), "-o", "/dev/null", url]
    pid = os.posix_spawnp("curl", command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"curl failed with wait status {status}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run the rounds and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--small", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Path(folder))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Start the sink, warm the page cache, and measure in turns."""
    certificate = ca = None
    if arguments.tls:
        authority = Authority.make()
        ca, certificate = authority.write_ca(folder), authority.write_certificate(folder, "127.0.0.1")
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=sink, args=(there, str(certificate) if certificate else None), daemon=True)
    process.start()
    try:
        url = f"{'https' if arguments.tls else 'http'}://127.0.0.1:{here.recv()}/files/x"
        source = folder / "clip"
        length_bytes = arguments.mib * 1024**2
        with source.open("wb") as file:
            for _ in range(arguments.mib):
                file.write(os.urandom(1024**2))
        options = WireOptions(endpoint=url, ca_file=ca)
        request = Request(
            method="PATCH", url=url, headers=(), body=BodyRange(offset_bytes=0, length_bytes=length_bytes)
        )
        ours_s, curl_s = [], []
        for _ in range(arguments.rounds):
            ours_s.append(asyncio.run(ours(options, request, source)))
            curl_s.append(curl(url, source, ca))
        per_gib = GIB / length_bytes
        say(f"ours {min(ours_s) * per_gib:.3f} CPU s/GiB, curl {min(curl_s) * per_gib:.3f} CPU s/GiB")
        say(f"ratio {min(ours_s) / min(curl_s):.2f}")
        if arguments.small:
            small = Request(method="PATCH", url=url, headers=(), body=BodyRange(offset_bytes=0, length_bytes=4096))
            spent_s = asyncio.run(ours(options, small, source, times=arguments.small))
            say(f"small bodies: {spent_s / arguments.small * 1000:.3f} CPU ms each")
    finally:
        process.terminate()
        process.join()


def say(line: str) -> None:
    """Print."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
