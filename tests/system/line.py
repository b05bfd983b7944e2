"""A line of the test's own: a network namespace in which a store and an ingest meet, and that can be spoiled.

Owns the namespace, its one device and its packet filter. Inside, 127.0.0.1 is the whole world.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MTU_BYTES = 1500
"""As on a real line, and each packet by itself: on loopback they would be of 64 KiB."""


@dataclass(frozen=True, slots=True)
class Line:
    """A namespace, by the process that holds it."""

    inside: Sequence[str]
    """What runs a program in it."""

    def run(self, *command: str) -> str:
        """Run a short program inside; what it said."""
        where = {**os.environ, "PATH": PATH}
        ended = subprocess.run([*self.inside, *command], env=where, capture_output=True, timeout=30, check=False)
        assert ended.returncode == 0, f"{command}: {ended.stderr.decode()}"
        return ended.stdout.decode()

    def spoil(self, port: int, what: str) -> None:
        """Let a filter's statement meet every packet to and from a port, such as `drop`, after counting it."""
        self.run("nft", f"add rule inet line packets tcp dport {port} {what}")
        self.run("nft", f"add rule inet line packets tcp sport {port} {what}")

    def mend(self) -> None:
        """Let every packet pass."""
        self.run("nft", "flush chain inet line packets")

    def sent_bytes(self) -> int:
        """How many bytes of packets went to the store, since it is counted."""
        return int(re.findall(r"bytes ([0-9]+)", self.run("nft", "list", "counter", "inet", "line", "up"))[0])

    def met(self) -> int:
        """How many packets the filter's statements have met since they were made, where these count."""
        rules = json.loads(self.run("nft", "--json", "list", "chain", "inet", "line", "packets"))["nftables"]
        statements = [each for rule in rules if "rule" in rule for each in rule["rule"]["expr"]]
        return sum(each["counter"]["packets"] for each in statements if "counter" in each)


@contextmanager
def own_line() -> Iterator[Line]:
    """Make a namespace for as long as the block runs; skip the test where that is not allowed."""
    for program in ("ip", "nft", "tc", "unshare", "nsenter"):
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"needs {program}")
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    made = f"ip link set lo mtu {MTU_BYTES} gso_max_segs 1 up && echo ready && exec cat"
    command = ["unshare", *user, "--net", "sh", "-c", made]
    holder = subprocess.Popen(
        command, env={**os.environ, "PATH": PATH}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"ready\n":
            pytest.skip(f"needs a network namespace: {holder.communicate()[1].decode().strip()}")
        enter = ("--user", "--preserve-credentials") if user else ()
        line = Line(inside=("nsenter", "--target", str(holder.pid), *enter, "--net", "--"))
        line.run("nft", "add table inet line; add counter inet line up;"
                 " add chain inet line packets { type filter hook input priority 0; }")  # fmt: skip
        yield line
    finally:
        holder.communicate()


def counted(line: Line, port: int) -> None:
    """Count what goes to the store from now on."""
    line.run("nft", "add chain inet line counting { type filter hook input priority -10; };"
             f" add rule inet line counting tcp dport {port} counter name up")  # fmt: skip
