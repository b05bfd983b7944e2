"""The station's own signed statements: one spelling each, and what they prove against a chain."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.domain.canonical import b64url, b64url_decode, canonical_json
from dockd.domain.checkpoint import (
    Checkpoint,
    CheckpointError,
    Head,
    checkpoint_signing_input,
    contradiction,
    parse_checkpoint,
)
from dockd.domain.jws import MAX_COMPACT_CHARS, parse_jws, signing_input
from dockd.domain.model import StationId
from dockd.domain.receipt import compact
from dockd.domain.recovery import (
    Basis,
    Lost,
    continuation,
    continued,
    recovery_facts,
    recovery_signing_input,
    signature_of,
    with_signature,
)
from dockd.domain.space import Strays

INSTANCE, HASH = "5ca1ab1e" * 4, "ab" * 32
HEAD = Head(instance=INSTANCE, seq=7, hash=HASH)
CHECKPOINT = Checkpoint(station=StationId("north-1"), head=HEAD, utc="2024-05-01T00:00:07.000000Z")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNED = (
    '{"alg":"EdDSA","kid":"k1","typ":"custody-checkpoint+jwt"}',
    '{"hash":"' + HASH + '","instance":"' + INSTANCE + '","seq":7,"station":"north-1",'
    '"utc":"2024-05-01T00:00:07.000000Z"}',
)


def text_of(header: str = SIGNED[0], payload: str = SIGNED[1], signature: bytes = b"s" * 64) -> str:
    return f"{b64url(header.encode())}.{b64url(payload.encode())}.{b64url(signature)}"


def test_a_checkpoint_is_a_compact_jws_in_canonical_form() -> None:
    signed = checkpoint_signing_input(CHECKPOINT, kid="k1")
    assert [b64url_decode(part).decode() for part in signed.decode().split(".")] == list(SIGNED)
    stated = parse_checkpoint(compact(signed, KEY.sign(signed)))
    assert stated.checkpoint == CHECKPOINT
    assert (stated.jws.kid, stated.jws.signing_input) == ("k1", signed)
    KEY.public_key().verify(stated.jws.signature, stated.jws.signing_input)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a checkpoint"),
        ("a.b", ""),
        ("x" * (MAX_COMPACT_CHARS + 1), f"{MAX_COMPACT_CHARS + 1} characters, expected at most"),
        (text_of() + ".", "not base64url"),
        (text_of()[:-1] + "=", "not base64url"),
        (text_of(header=SIGNED[0].replace(",", ", ")), "is no custody-checkpoint"),
        (text_of(header=SIGNED[0].replace("EdDSA", "none")), "is no custody-checkpoint"),
        (text_of(header=SIGNED[0].replace("custody-checkpoint", "clip-receipt")), "is no custody-checkpoint"),
        (text_of(header=SIGNED[0].replace('"k1"', "1")), "is no custody-checkpoint"),
        (text_of(header="[]"), "expected a flat JSON object"),
        (text_of(header="[" * 4000)[:4000], ""),
        (text_of(header="not JSON"), "not a checkpoint"),
        (text_of(payload=SIGNED[1].replace(":7", ": 7")), "is no custody-checkpoint"),
        (text_of(payload=SIGNED[1].replace(":7", ":true")), "expected a flat JSON object"),
        (text_of(payload=SIGNED[1].replace(":7", ":0")), "seq 0, expected a whole number from 1"),
        (text_of(payload=SIGNED[1].replace(":7", ':"7"')), "seq '7', expected a whole number"),
        (text_of(payload=SIGNED[1].replace(HASH, HASH[:-1])), "hash 'aba"),
        (text_of(payload=SIGNED[1].replace(INSTANCE, INSTANCE.upper())), "instance '5CA1AB1E"),
        (text_of(payload=SIGNED[1].replace('"north-1"', "null")), "station None, expected text"),
        (text_of(payload=SIGNED[1].replace(',"utc"', ',"utd"')), "claims ["),
    ],
)
def test_any_other_spelling_or_claim_is_no_checkpoint(text: str, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_checkpoint(text)
    assert says in str(caught.value)


def test_a_nest_beyond_reason_is_no_statement() -> None:
    text = f"{b64url(b'[' * 2900)}.e30."
    with pytest.raises(ValueError, match=r"nested beyond reason|flat JSON object|Expecting value"):
        parse_jws(text, typ="x")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: ({}, HASH, None), ""),
        (lambda: ({"seq": 9}, HASH, None), ""),
        (lambda: ({"instance": "0" * 32}, None, INSTANCE), ""),
        (
            lambda: ({"instance": "0" * 32}, HASH, "1" * 32),
            f"its checkpoint is of ledger {INSTANCE}, this is ledger 000",
        ),
        (lambda: ({"instance": "0" * 32}, None, None), f"its checkpoint is of ledger {INSTANCE}"),
        (
            lambda: ({"seq": 6}, None, None),
            "the custody chain ends at entry 6, its checkpoint states entry 7: it was cut",
        ),
        (lambda: ({}, "cd" * 32, None), f"custody entry 7 has hash {'cd' * 32}, its checkpoint states {HASH}: it was"),
    ],
)
def test_a_chain_is_held_against_its_checkpoint(
    change: Callable[[], tuple[dict[str, object], str | None, str | None]], why: str
) -> None:
    end, there, continues = change()
    fields: dict[str, object] = {"instance": INSTANCE, "seq": 7, "hash": HASH, **end}
    said = contradiction(CHECKPOINT, end=Head(**fields), hash_there=there, continues=continues)  # type: ignore[arg-type] # literals above
    assert said.startswith(why)
    assert bool(said) == bool(why)


# --- a recovery -----------------------------------------------------------------------------------------------------

LOST = Lost(
    why="file is not a database", head=HEAD, basis=Basis.CHECKPOINT, set_aside="set-aside-1", checkpoint="a.b.c"
)
FACTS = {
    "basis": "checkpoint",
    "checkpoint": "a.b.c",
    "instance": "0" * 32,
    "kid": "k1",
    "old_head": HASH,
    "old_instance": INSTANCE,
    "old_seq": "7",
    "set_aside": "set-aside-1",
    "station": "north-1",
    "why": "file is not a database",
}


def test_a_recovery_says_what_was_lost_and_every_fact_is_signed() -> None:
    facts = recovery_facts(LOST, station="north-1", instance="0" * 32, kid="k1")
    assert facts == FACTS
    signed = recovery_signing_input(facts)
    borne = with_signature(facts, KEY.sign(signed))
    assert recovery_signing_input(borne) == signed
    KEY.public_key().verify(signature_of(borne), signed)
    for name in FACTS:
        assert recovery_signing_input({**borne, name: "other"}) != signed
    jws = parse_jws(f"{signed.decode()}.{borne['signature']}", typ="ledger-recovered+jwt")
    assert jws.payload == FACTS
    assert continued(borne) == HEAD
    assert continuation(borne) == f"ledger {INSTANCE} up to entry 7, kept in set-aside-1: file is not a database"


def test_a_recovery_says_what_it_left_in_the_spool() -> None:
    lost = replace(LOST, strays=Strays(copies=3, bytes_=90))
    facts = recovery_facts(lost, station="north-1", instance="0" * 32, kid="k1")
    assert facts == {**FACTS, "copies": "3", "copies_bytes": "90"}
    assert continuation(facts).endswith("file is not a database; it left 3 copies of 90 bytes")


def test_a_recovery_that_knows_nothing_says_so() -> None:
    facts = recovery_facts(Lost(why="w" * 900), station="north-1", instance="0" * 32, kid="k1")
    assert facts == {"basis": "none", "instance": "0" * 32, "kid": "k1", "station": "north-1", "why": "w" * 500}
    assert continued(facts) is None
    assert continuation({"why": "x"}) == "a ledger of which nothing is known: x"


@pytest.mark.parametrize("seq", ["", "-1", "1.5", "\N{SUPERSCRIPT TWO}", "seven"])
def test_a_head_that_is_no_number_is_no_head(seq: str) -> None:
    assert continued({**FACTS, "old_seq": seq}) is None


@pytest.mark.parametrize("signature", ["", "*", "YQ=="])
def test_a_signature_that_cannot_be_read_is_none(signature: str) -> None:
    assert signature_of({"signature": signature}) == b""
    assert signature_of({}) == b""


def test_the_bytes_signed_are_those_of_any_jws_library() -> None:
    header, payload = signing_input(typ="t", kid="k", payload={"b": 1, "a": None}).decode().split(".")
    assert json.loads(b64url_decode(header)) == {"alg": "EdDSA", "kid": "k", "typ": "t"}
    assert b64url_decode(payload) == canonical_json({"a": None, "b": 1}) == b'{"a":null,"b":1}'
