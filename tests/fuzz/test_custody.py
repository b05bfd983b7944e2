"""A custody chain against any edit: whatever is changed, left out, put in or exchanged is found, near its place."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings, strategies as st

from dockd.domain.canonical import sha256_hex
from dockd.domain.custody import GENESIS, BrokenChainError, Entry, Link, append, leaf_hash, verify
from dockd.domain.model import BayId, CameraSerial, ClipKey, DockingId, Timestamp

words = st.text(max_size=12)
entries = st.builds(
    Entry,
    time=st.builds(Timestamp, utc=words, source=words, uncertainty_ms=st.integers(-1, 10**6)),
    actor=words,
    cause=words,
    bay=st.none() | st.integers(0, 99).map(BayId),
    docking=st.none() | st.integers(0, 99).map(DockingId),
    camera=st.none() | words.map(CameraSerial),
    clip=st.none() | st.integers(0, 99).map(ClipKey),
    state_from=words,
    state_to=words,
    facts=st.dictionaries(words | st.sampled_from(["prev", "seq", "source"]), words, max_size=3),
)
chains = st.lists(entries, min_size=1, max_size=6)


def chained(told: Sequence[Entry]) -> list[Link]:
    """Write entries one after another."""
    links: list[Link] = []
    for seq, entry in enumerate(told, 1):
        links.append(append(entry, seq=seq, prev=links[-1].hash if links else GENESIS))
    return links


def broken_at(links: Sequence[Link]) -> int | None:
    """Say where a chain shows that it is broken."""
    try:
        list(verify(links))
    except BrokenChainError as error:
        return error.seq
    return None


@pytest.mark.promise("I18")
@given(chains)
def test_any_chain_that_was_written_holds(told: list[Entry]) -> None:
    links = chained(told)
    assert broken_at(links) is None
    assert [json.loads(link.body)["seq"] for link in links] == [link.seq for link in links]
    assert all(link.body.isascii() for link in links)


@pytest.mark.promise("I18")
@settings(max_examples=250)
@given(chains, st.data())
def test_any_edit_of_a_chain_is_found(told: list[Entry], data: st.DataObject) -> None:
    """But for its end: that a chain was cut is seen by who knows its head, the store's receipts for one."""
    links = chained(told)
    at = data.draw(st.integers(0, len(links) - 1))
    how = data.draw(st.sampled_from(["byte", "out", "in", "exchange", "seq", "prev", "hash", "body"]))
    edited = list(links)
    match how:
        case "byte":
            place = data.draw(st.integers(0, len(links[at].body) - 1))
            turned = links[at].body[place] ^ data.draw(st.integers(1, 255))
            body = links[at].body[:place] + bytes([turned]) + links[at].body[place + 1 :]
            edited[at] = replace(links[at], body=body)
        case "out":
            assume(at < len(links) - 1)
            del edited[at]
        case "in":
            edited.insert(at, data.draw(st.sampled_from(links)))
        case "exchange":
            other = data.draw(st.integers(0, len(links) - 1))
            assume(other != at)
            edited[at], edited[other] = edited[other], edited[at]
        case "seq":
            edited[at] = replace(links[at], seq=data.draw(st.integers(-1, 9).filter(lambda seq: seq != at + 1)))
        case "prev":
            edited[at] = replace(links[at], prev=data.draw(words | st.just(sha256_hex(b"else"))))
            assume(edited[at] != links[at])
        case "hash":
            edited[at] = replace(links[at], hash=sha256_hex(data.draw(st.binary(max_size=4))))
        case _:
            # The body written anew, and its own hash with it: the next entry, or its place in the body, gives it away.
            body = json.dumps({**json.loads(links[at].body), "actor": "somebody else"}, separators=(",", ":")).encode()
            assume(at < len(links) - 1 and body != links[at].body)
            edited[at] = replace(links[at], body=body, hash=leaf_hash(body))
    found = broken_at(edited)
    assert found is not None
    assert found <= at + 2


@given(entries, entries)
def test_two_entries_in_one_place_have_two_hashes(one: Entry, other: Entry) -> None:
    assume(one != other)
    assert append(one, seq=1, prev=GENESIS).hash != append(other, seq=1, prev=GENESIS).hash
