"""Requests to the local socket, of any form: answered in words, never by a failure, and none changes anything (I15)."""

import asyncio
import http.client
import random
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from dockd.domain.model import ClipKey
from dockd.edges.ledger.audit import verify_state
from tests.control_parts import served
from tests.ledger_parts import SIGNER, docked, file, threaded

REQUESTS = 600
QUESTIONS = ["status", "bays", "clips", "receipts", "verify", "account", "quarantine", "erase", "../v1/clips", ""]
NAMES = ["in", "camera", "limit", "after", "clip_id", "docking", "number", "kind", "", "x"]
VALUES = [
    "held", "found", "erased", "0", "1", "-1", "1e3", "\u0661", "9" * 19, "9223372036854775807", "9223372036854775808",
    "9" * 30, "9" * 5000, "", " ", "\x00", "\x1b[2J", "\ud800", "\xff", "<script>", "' OR 1=1 --", "a" * 3000,
    "../..", "%",
]  # fmt: skip


def ask(path: Path, method: str, target: str, body: bytes | None) -> int:
    """Ask the socket; the status, 0 where it hung up on what is no HTTP."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(path))
        connection.request(method, target, body)
        answer = connection.getresponse()
        answer.read()
    except (http.client.HTTPException, ConnectionError):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


@pytest.mark.promise("I15")
async def test_no_request_to_the_socket_changes_anything(tmp_path: Path) -> None:
    chance = random.Random(11)
    async with await threaded(tmp_path) as ledger, served(tmp_path, ledger):
        await docked(ledger, file("A.MP4"), file("B.MP4"))
        before = [await ledger.clip(ClipKey(key)) for key in (1, 2)]
        head = (await ledger.links(after=0, limit=1000))[-1]
        met: dict[int, int] = {}
        for _ in range(REQUESTS):
            told = "&".join(
                f"{chance.choice(NAMES)}={quote(chance.choice(VALUES), errors='surrogatepass')}"
                for _ in range(chance.randrange(4))
            )
            case = f"{chance.choice(['clip', 'docking', 'bay'])}/{quote(chance.choice(VALUES[3:12]))}"
            question = chance.choice([*QUESTIONS, case, case])
            target = f"/v1/{question}?{told}"
            method = chance.choice(["GET", "GET", "GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE"])
            status = await asyncio.to_thread(ask, tmp_path / "control.sock", method, target, None)
            assert status < 500, f"{method} {target[:200]} answered {status}"
            met[status] = met.get(status, 0) + 1
        assert met[200] > 20
        assert met[400] > 5
        assert [await ledger.clip(ClipKey(key)) for key in (1, 2)] == before
        assert (await ledger.links(after=0, limit=1000))[-1] == head
    assert verify_state(tmp_path, SIGNER.pinned().verify).clean
