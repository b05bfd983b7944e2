"""Two statements of the chain's end at once: one that its caller gave up at the stop, and the one of the close."""

import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.domain.checkpoint import Checkpoint, Head
from dockd.edges.ledger.checkpoint import kept
from dockd.edges.ledger.witness import Witness
from dockd.edges.seal import Seal
from tests.ledger_parts import STATION, Ticks


class SlowSeal(Seal):
    """Signs, and is held up the first time."""

    def __init__(self) -> None:
        super().__init__(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.signing, self.go_on = threading.Event(), threading.Event()

    def sign(self, signed: bytes) -> bytes:
        if not self.signing.is_set():
            self.signing.set()
            self.go_on.wait()
        return super().sign(signed)


def checkpoint(seq: int) -> Checkpoint:
    head = Head(instance="1" * 32, seq=seq, hash=f"{seq:064}")
    return Checkpoint(station=STATION, head=head, utc="2024-05-01T00:00:00.000000Z")


def stated(folder: Path) -> int:
    statement = kept(folder).stated
    assert statement is not None
    return statement.checkpoint.head.seq


def test_a_statement_that_was_given_up_comes_to_its_end_before_the_next_is_made(tmp_path: Path) -> None:
    seal = SlowSeal()
    witness = Witness(tmp_path, station=STATION, seal=seal, now=Ticks())
    given_up = threading.Thread(target=witness.state, args=(checkpoint(2),), daemon=True)
    given_up.start()
    seal.signing.wait()
    last = threading.Thread(target=witness.state, args=(checkpoint(3),), daemon=True)
    last.start()
    last.join(timeout=0.2)
    waits = last.is_alive()
    seal.go_on.set()
    given_up.join()
    last.join()
    assert waits
    assert stated(tmp_path) == 3


def test_an_older_end_never_takes_the_place_of_a_newer_one(tmp_path: Path) -> None:
    witness = Witness(tmp_path, station=STATION, seal=Seal.of(bytes(32)), now=Ticks())
    witness.state(checkpoint(3))
    witness.state(checkpoint(2))
    assert stated(tmp_path) == 3
