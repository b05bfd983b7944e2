"""An ingest and a store on a line that swallows packets, resets, loses, crawls, cuts long ones off, and flaps."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.system.evidence import moves, stored
from tests.system.line import Line, counted, own_line
from tests.system.programs import Ended, Ingest, StoreProcess, ingest_command, ingesting
from tests.system.waiting import until

MIB = 1 << 20
RESENT_MOST_BYTES = 3 * MIB
"""So much may be on the way, unheard, when a connection breaks."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A card, a store on the line, and the state of a desk."""

    line: Line
    store: StoreProcess
    key: str
    card: Path
    state: Path

    def put(self, name: str, length_bytes: int) -> None:
        """Put a recording onto the card."""
        (self.card / name).write_bytes(random.Random(name).randbytes(length_bytes))

    def command(self, *more: str) -> list[str]:
        """Write the command line of an ingest on the line."""
        command = ingest_command(self.card, to=self.store.url, state=self.state, key=self.key, more=more)
        return [*self.line.inside, *("tests.system.impatient" if word == "dockd" else word for word in command)]

    def ingest(self, *more: str, within_s: float = 90.0) -> Ended:
        """Bring the card."""
        with ingesting(self.command(*more), self.state.with_suffix(".stderr")) as run:
            return run.ended(within_s=within_s)

    def arrived_bytes(self) -> int:
        """How much of unfinished uploads lies at the store."""
        return sum(path.stat().st_size for path in (self.store.folder / "uploads").iterdir())

    def all_is_well(self, ended: Ended) -> None:
        """See every recording receipted in the end, once, with its bytes; by a look from outside of the line."""
        files = {path.name.encode(): sha256(path.read_bytes()).hexdigest() for path in self.card.iterdir()}
        assert ended.code == 0, ended.words()
        assert ended.counts == (len(files), len(files), 0, 0, 0)
        self.store.stop()
        with StoreProcess(folder=self.store.folder) as outside:
            assert {path: clip.sha256 for path, clip in stored(outside.base).items()} == files


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Start a store on a line of its own."""
    card = tmp_path / "card"
    card.mkdir()
    with own_line() as line, StoreProcess(folder=tmp_path / "store", before=line.inside) as store:
        yield Bench(line, store, store.key, card, tmp_path / "state")


def under_way(bench: Bench, run: Ingest, least_bytes: int) -> None:
    """Wait until so much has arrived at the store."""
    until(lambda: bench.arrived_bytes() >= least_bytes or not run.running, f"{least_bytes} bytes at the store")
    assert run.running, run.lines()


@pytest.mark.promise("I17")
def test_a_black_hole_in_mid_body_ends_in_words_and_the_rest_goes_from_the_stores_offset(bench: Bench) -> None:
    bench.put("A.MP4", 6 * MIB)
    with ingesting(bench.command("--limit", "1M", "--patience", "3"), bench.state.with_suffix(".log")) as run:
        under_way(bench, run, 3 * MIB)
        bench.line.spoil(bench.store.port, "drop")
        ended = run.ended()
    assert ended.code == 75, ended.words()
    assert ended.troubles["A.MP4"]["reason"] == "network", ended.words()
    bench.line.mend()
    there_bytes = bench.arrived_bytes()
    assert there_bytes >= 3 * MIB
    counted(bench.line, bench.store.port)
    again = bench.ingest()
    sent_bytes = bench.line.sent_bytes()
    bench.all_is_well(again)
    # Headers, and what the kernel sends twice where it had to wait for a busy machine; all of it again would be 6 MiB.
    assert sent_bytes < (6 * MIB - there_bytes) * 1.1 + MIB / 2
    assert moves(bench.state, "opened") == {1: 1}


@pytest.mark.promise("I10")
def test_connections_reset_again_and_again_lose_no_byte_and_repeat_few(bench: Bench) -> None:
    bench.put("A.MP4", 6 * MIB)
    counted(bench.line, bench.store.port)
    resets = 4
    with ingesting(bench.command("--limit", "2M"), bench.state.with_suffix(".log")) as run:
        for number in range(1, resets + 1):
            under_way(bench, run, number * MIB)
            bench.line.spoil(bench.store.port, "counter reject with tcp reset")
            until(lambda: bench.line.met() > 0, "a packet that is answered by a reset")
            bench.line.mend()
        ended = run.ended()
    sent_bytes = bench.line.sent_bytes()
    bench.all_is_well(ended)
    assert sent_bytes < 6 * MIB * 1.1 + resets * RESENT_MOST_BYTES
    assert moves(bench.state, "opened") == {1: 1}


@pytest.mark.promise("I17")
def test_five_packets_lost_in_a_hundred_only_cost_time(bench: Bench) -> None:
    bench.put("A.MP4", MIB)
    bench.put("B.MP4", MIB)
    bench.line.spoil(bench.store.port, "numgen random mod 100 < 5 counter drop")
    ended = bench.ingest()
    assert bench.line.met() > 10, "hardly a packet was lost"
    bench.all_is_well(ended)


@pytest.mark.promise("I17")
def test_a_slow_line_is_never_given_up_while_it_moves(bench: Bench) -> None:
    """It takes longer in all than a silence may last."""
    bench.put("A.MP4", MIB)
    bench.put("B.MP4", MIB)
    bench.line.run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "4mbit", "burst", "8k", "latency", "300ms")
    ended = bench.ingest()
    assert ended.summary["elapsed_s"] > 3.5
    bench.all_is_well(ended)
    assert moves(bench.state, "opened") == {1: 1, 2: 1}


@pytest.mark.promise("I17")
def test_a_line_that_swallows_long_packets_is_a_network_trouble_and_heals(bench: Bench) -> None:
    bench.put("A.MP4", MIB)
    bench.line.spoil(bench.store.port, "meta length > 1400 drop")
    ended = bench.ingest("--patience", "3")
    assert ended.code == 75, ended.words()
    assert ended.troubles["A.MP4"]["reason"] == "network", ended.words()
    bench.line.mend()
    bench.all_is_well(bench.ingest())


@pytest.mark.promise("I17")
def test_a_link_that_flaps_loses_no_byte(bench: Bench) -> None:
    bench.put("A.MP4", 4 * MIB)
    with ingesting(bench.command("--limit", "1M", "--patience", "60"), bench.state.with_suffix(".log")) as run:
        for number in range(1, 4):
            under_way(bench, run, number * MIB // 2)
            bench.line.run("sh", "-c", "ip link set lo down && sleep 0.5 && ip link set lo up")
        ended = run.ended()
    bench.all_is_well(ended)
    assert moves(bench.state, "opened") == {1: 1}
