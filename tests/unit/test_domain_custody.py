"""The custody log: whatever is edited, dropped, moved or added shows, and where."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from dockd.domain.canonical import canonical_json
from dockd.domain.custody import GENESIS, BrokenChainError, Entry, Link, append, leaf_hash, verify
from dockd.domain.model import BayId, CameraSerial, ClipId, ClipKey, DockingId, Timestamp

TIME = Timestamp(utc="2024-03-01T06:00:00.000000Z", source="ntp", uncertainty_ms=12)
ENTRY = Entry(
    time=TIME,
    actor="offload",
    cause="copied",
    bay=BayId(2),
    docking=DockingId(5),
    camera=CameraSerial("CAM"),
    clip=ClipKey(9),
    clip_id=ClipId("c" * 64),
    state_from="found",
    state_to="copied",
    facts={"sha256": "5" * 64, "path": 'a"quote\n'},
)


def chain(count: int = 5) -> list[Link]:
    links: list[Link] = []
    for seq in range(1, count + 1):
        prev = links[-1].hash if links else GENESIS
        links.append(append(replace(ENTRY, clip=ClipKey(seq)), seq=seq, prev=prev))
    return links


def test_an_entry_is_written_in_one_form_and_hashes_as_a_leaf() -> None:
    (link,) = chain(1)
    assert link.body == (
        b'{"actor":"offload","bay":2,"camera":"CAM","cause":"copied","clip":1,"clip_id":"' + b"c" * 64 + b'",'
        b'"docking":5,"facts":{"path":"a\\"quote\\n","sha256":"' + b"5" * 64 + b'"},"from":"found","prev":"'
        + b"0" * 64 + b'","seq":1,"source":"ntp","to":"copied","uncertainty_ms":12,'
        b'"utc":"2024-03-01T06:00:00.000000Z"}'
    )  # fmt: skip
    assert link.hash == sha256(b"\x00" + link.body).hexdigest() == leaf_hash(link.body)
    assert (link.seq, link.prev) == (1, "0" * 64)


def test_an_entry_of_no_clip_holds_nulls_and_not_nothing() -> None:
    link = append(Entry(time=TIME, actor="station", cause="started"), seq=1, prev=GENESIS)
    body = json.loads(link.body)
    assert (body["clip"], body["bay"], body["camera"], body["facts"], body["from"]) == (None, None, None, {}, "")


def test_a_whole_chain_passes_through_in_order() -> None:
    links = chain()
    assert list(verify(links)) == links
    assert list(verify([])) == []


def test_a_chain_can_be_gone_on_with_from_any_entry() -> None:
    links = chain()
    assert list(verify(links[3:], seq=4, prev=links[2].hash)) == links[3:]
    with pytest.raises(BrokenChainError, match="custody entry 4: follows"):
        list(verify(links[3:], seq=4, prev=links[1].hash))


def broken_at(links: list[Link]) -> int:
    with pytest.raises(BrokenChainError) as caught:
        list(verify(links))
    assert str(caught.value).startswith(f"custody entry {caught.value.seq}: ")
    return caught.value.seq


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "user:eve"),
        ("bay", 3),
        ("camera", "CAM2"),
        ("cause", "erased"),
        ("clip", 77),
        ("clip_id", "d" * 64),
        ("docking", 6),
        ("facts", {}),
        ("from", "copied"),
        ("prev", "1" * 64),
        ("seq", 4),
        ("source", "rtc"),
        ("to", "erased"),
        ("uncertainty_ms", 0),
        ("utc", "2024-03-01T06:00:00.000001Z"),
    ],
)
def test_no_field_of_an_entry_can_be_edited(field: str, value: object) -> None:
    links = chain()
    body = json.loads(links[2].body)
    assert body[field] != value
    edited = canonical_json(body | {field: value})
    links[2] = replace(links[2], body=edited)
    assert broken_at(links) == 3
    # Whoever makes its hash fit breaks its successor, or its place.
    links[2] = replace(links[2], hash=leaf_hash(edited))
    assert broken_at(links) in {3, 4}


EDITS: dict[str, tuple[Callable[[list[Link]], list[Link]], int]] = {
    "the first dropped": (lambda links: links[1:], 1),
    "one dropped": (lambda links: links[:2] + links[3:], 3),
    "two swapped": (lambda links: [*links[:1], links[2], links[1], *links[3:]], 2),
    "one doubled": (lambda links: [*links[:2], links[1], *links[2:]], 3),
    "another sequence number": (lambda links: [*links[:2], replace(links[2], seq=9), *links[3:]], 3),
    "another predecessor": (lambda links: [*links[:2], replace(links[2], prev="1" * 64), *links[3:]], 3),
    "another hash": (lambda links: [*links[:2], replace(links[2], hash="1" * 64), *links[3:]], 3),
    "another body": (lambda links: [*links[:2], replace(links[2], body=links[2].body + b" "), *links[3:]], 3),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_first_broken_place_is_named(edit: str) -> None:
    change, at = EDITS[edit]
    assert broken_at(change(chain())) == at


def test_a_body_that_names_another_place_is_found_though_its_hash_fits() -> None:
    links = chain(1)
    body = links[0].body.replace(b'"seq":1,', b'"seq":2,')
    assert broken_at([Link(seq=1, prev=GENESIS, hash=leaf_hash(body), body=body)]) == 1
    other = links[0].body.replace(b'"prev":"0', b'"prev":"1')
    assert broken_at([Link(seq=1, prev=GENESIS, hash=leaf_hash(other), body=other)]) == 1


def test_words_of_a_fact_cannot_stand_for_the_place_of_an_entry() -> None:
    trick = f'"prev":"{GENESIS}","seq":1,"source":"'
    body = append(replace(ENTRY, facts={"words": trick}), seq=7, prev="1" * 64).body
    assert broken_at([Link(seq=1, prev=GENESIS, hash=leaf_hash(body), body=body)]) == 1


def test_what_was_verified_before_a_break_was_passed_on() -> None:
    links = chain()
    links[3] = replace(links[3], hash="1" * 64)
    passed: list[Link] = []
    with pytest.raises(BrokenChainError):
        passed.extend(verify(links))
    assert passed == links[:3]
