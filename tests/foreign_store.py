"""Fixtures that start the stores of tests/servers, and the real recording to send them."""

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

READY_WITHIN_S = 30.0
"""Starting node and loading a store takes under a second; on a loaded machine it has taken several."""


@dataclass(slots=True)
class ForeignStore:
    """One running server: `directory` holds each upload under its id, `url` is where uploads are made."""

    directory: Path
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where to create uploads."""
        return f"http://127.0.0.1:{self.port}/files/"

    def kill(self) -> None:
        """End it at once, as a power cut would; starting another on its directory and port is its restart."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class StartStore(Protocol):
    """Starts a server on a directory: with `key` (a PEM file) it gives receipts, without it is plain."""

    def __call__(self, directory: Path, *, key: Path | None = None, port: int = 0) -> ForeignStore:
        """Return when it answers requests."""
        ...


@pytest.fixture(scope="session")
def node() -> str:
    """Find the node that scripts/setup chose: its own, where the system's is too old."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which("node", path=path)
    assert found, "node: not found in .venv/bin or on PATH, expected it after scripts/setup --tests"
    return found


@pytest.fixture
def start_store(node: str) -> Iterator[StartStore]:
    """Start foreign stores; those still running are ended after the test."""
    stores: list[ForeignStore] = []

    def start(directory: Path, *, key: Path | None = None, port: int = 0) -> ForeignStore:
        servers = Path(__file__).parent / "servers"
        script = servers / ("plain.mjs" if key is None else "receipts.mjs")
        command = [node, str(script), "--dir", str(directory), "--port", str(port)]
        if key is not None:
            command += ["--key", str(key)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        store = ForeignStore(directory=directory, process=process, port=port)
        stores.append(store)
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
        line = process.stdout.readline() if ready else b""
        assert line, f"{script.name}: no port after {READY_WITHIN_S} s, or it ended; expected one line of JSON"
        store.port = json.loads(line)["port"]
        return store

    yield start
    for store in stores:
        store.kill()


@pytest.fixture
def store_key(tmp_path: Path) -> Path:
    """Make a key that a store signs receipts with: an Ed25519 private key, PEM."""
    path = tmp_path / "store-key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, timeout=30)
    return path


@pytest.fixture(scope="session")
def recording() -> Path:
    """Point to a real MP4 of 60 KB, its index at the end."""
    return Path(__file__).parents[1] / "dockd" / "sim" / "media" / "clip.mp4"
