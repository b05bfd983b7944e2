"""Receipts against anything: one is accepted only if it is, to the byte, the store's for that clip and station.

The seeded mutations make the numbers, hypothesis the shapes; each check that is left out is found by both.
"""

import base64
import json
import os
from collections.abc import Callable
from random import Random

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import HealthCheck, given, settings, strategies as st

from dockd.domain.model import ClipId, Sha256, StationId
from dockd.domain.receipt import Claims, Expected, Flaw, ReceiptError, check_claims, parse_receipt
from dockd.edges.keys import PREFIX, SMALL_ORDER, PinnedKeys
from dockd.errors import ConfigError
from tests.fuzz.mutations import ALPHABET, WAYS, mutated, mutated_receipts, numbers, station_accepts
from tests.fuzz.receipts import Accepts, Genuine, b64, elsewhere, thumbprint, unb64, world

COUNT = int(os.environ.get("DOCKD_FUZZ_RECEIPTS", "50000"))
ENOUGH = 3000
"""So many mutations find any check that is left out."""


@pytest.mark.promise("I1")
def test_the_genuine_receipts_are_accepted_and_only_for_their_own_clip_and_station() -> None:
    chance = Random(5)
    for genuine in world().receipts:
        assert station_accepts(genuine.text, genuine.expected)
        for other in world().receipts:
            assert station_accepts(other.text, genuine.expected) == (other is genuine)
        assert not any(station_accepts(genuine.text, elsewhere(genuine.expected, chance)) for _ in range(20))


@pytest.mark.promise("I1")
@pytest.mark.timeout(600)
def test_fifty_thousand_mutated_receipts_and_none_accepted() -> None:
    assert mutated_receipts(0, COUNT) == []


def test_the_soak_is_given_the_seeds_that_were_accepted() -> None:
    assert list(numbers(range(50, 60))) == []


def test_a_seed_is_the_same_mutation_every_time() -> None:
    assert [mutated(seed) for seed in range(200)] == [mutated(seed) for seed in range(200)]


def test_every_way_is_gone_and_most_mutations_come_far() -> None:
    """A mutator whose every text fails at the first look would prove little."""
    flaws = dict.fromkeys(Flaw, 0)
    for seed in range(ENOUGH):
        _, text, expected = mutated(seed)
        try:
            check_claims(world().pinned.verify(text).claims, expected)
        except ReceiptError as error:
            flaws[error.flaw] += 1
    assert all(count >= 40 for count in flaws.values()), flaws
    assert {mutated(seed)[0] for seed in range(ENOUGH)} == {way.__name__.strip("_") for way in WAYS}


# --- the mutations find what is left out ---------------------------------------------------------------------------


def without_signature(text: str, expected: Expected) -> bool:
    """Check everything but the signature."""
    try:
        receipt = parse_receipt(text)
        check_claims(receipt.claims, expected)
    except ReceiptError:
        return False
    return receipt.kid in world().pinned.keys


def under_any_kid(text: str, expected: Expected) -> bool:
    """Check under the key that the receipt brings along by its name, pinned or not."""
    keys = {signer.kid: signer.key.public_key() for signer in (world().store, world().older, world().rogue)}
    try:
        check_claims(PinnedKeys(keys).verify(text).claims, expected)
    except ReceiptError:
        return False
    return True


def without_claims(text: str, expected: Expected) -> bool:
    """Check the signature and nothing that it signs."""
    try:
        world().pinned.verify(text)
    except ReceiptError:
        return False
    return True


def without_claim(left_out: Flaw) -> Accepts:
    """Check all claims but one."""

    def accepts(text: str, expected: Expected) -> bool:
        try:
            check_claims(world().pinned.verify(text).claims, expected)
        except ReceiptError as error:
            return error.flaw is left_out
        return True

    return accepts


def without_canonical_form(text: str, expected: Expected) -> bool:
    """Check the signature over whatever was sent, and the claims as a common reader of JSON understands them."""
    try:
        header, payload, signature = text.split(".")
        said = json.loads(base64.urlsafe_b64decode(payload + "=="))
        kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
        world().pinned.keys[kid].verify(unb64(signature), f"{header}.{payload}".encode())
        claims = Claims(
            clip_id=ClipId(said["clip_id"]),
            aud=StationId(said["aud"]),
            length_bytes=said["length"],
            sha256=Sha256(said["sha256"]),
            meta_sha256=Sha256(said["meta_sha256"]),
            stored_at="",
            store="",
            leaf="",
        )
        check_claims(claims, expected)
    except (ReceiptError, InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return True


def with_stray_bits(text: str, expected: Expected) -> bool:
    """Take every spelling of the signature's bytes."""
    head, _, signature = text.rpartition(".")
    try:
        whole = b64(base64.urlsafe_b64decode(signature + "=="))
    except ValueError:
        return False
    return station_accepts(f"{head}.{whole}", expected)


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    "faulty",
    [
        pytest.param(without_signature, id="signature off"),
        pytest.param(under_any_kid, id="any key"),
        pytest.param(without_claims, id="claims unchecked"),
        *(
            pytest.param(without_claim(flaw), id=flaw.name.lower())
            for flaw in (Flaw.CLIP, Flaw.AUDIENCE, Flaw.LENGTH, Flaw.DIGEST, Flaw.METADATA)
        ),
        pytest.param(without_canonical_form, id="form off"),
        pytest.param(with_stray_bits, id="stray bits"),
    ],
)
def test_a_verifier_that_leaves_one_check_out_is_caught(faulty: Accepts) -> None:
    assert mutated_receipts(0, ENOUGH, accepts=faulty)


# --- hypothesis ---------------------------------------------------------------------------------------------------

GENUINE = st.sampled_from(range(len(world().receipts))).map(lambda number: world().receipts[number])
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["put", "set", "cut", "swap"]),
        st.integers(-100, 10_000),  # from the end as well, where the signature is
        st.sampled_from(ALPHABET) | st.characters(),
    ),
    min_size=1,
    max_size=6,
)


def edited(text: str, edits: list[tuple[str, int, str]]) -> str:
    """Edit a text here and there."""
    chars = list(text)
    for what, place, char in edits:
        at = place % max(1, len(chars))
        match what:
            case "put":
                chars.insert(at, char)
            case "cut":
                del chars[at : at + 1]
            case "set":
                chars[at : at + 1] = [char]
            case _:
                chars[at:] = chars[at:][::-1]
    return "".join(chars)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spelled(draw: st.DrawFn, genuine: Genuine) -> str:
    """Give the true header and claims in any spelling of JSON, some of them changed, signed by the store itself."""

    def text_of(pairs: list[tuple[str, object]]) -> bytes:
        order = draw(st.permutations(pairs)) if draw(st.booleans()) else pairs
        changed = [(key, draw(VALUES) if draw(st.integers(0, 15)) == 0 else value) for key, value in order]
        more = draw(st.lists(st.sampled_from(pairs), max_size=1))
        space = draw(st.sampled_from(["", "", "", " ", "\n", "\t"]))
        ascii_ = draw(st.booleans())
        inside = f",{space}".join(
            f"{json.dumps(key)}:{space}{json.dumps(value, ensure_ascii=ascii_)}" for key, value in [*changed, *more]
        )
        return f"{{{inside}}}".encode("utf-8", "surrogatepass")

    return world().store.jws(text_of([*genuine.header]), text_of([*genuine.payload]))


def claims_kept(text: str, genuine: Genuine) -> bool:
    """Say whether a canonical text says of the clip what the genuine one does: the store may word the rest anew."""
    try:
        claims = parse_receipt(text).claims
    except ReceiptError:
        return False
    mine = parse_receipt(genuine.text).claims
    return (claims.clip_id, claims.aud, claims.length_bytes, claims.sha256, claims.meta_sha256) == (
        mine.clip_id,
        mine.aud,
        mine.length_bytes,
        mine.sha256,
        mine.meta_sha256,
    )


FEW = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.promise("I1")
@FEW
@given(st.data())
def test_no_mutated_receipt_is_accepted_however_it_was_mutated(data: st.DataObject) -> None:
    genuine = data.draw(GENUINE)
    if data.draw(st.booleans()):
        text = edited(genuine.text, data.draw(EDITS))
        assert station_accepts(text, genuine.expected) <= (text == genuine.text)
        return
    text = data.draw(spelled(genuine))
    assert station_accepts(text, genuine.expected) <= (text == genuine.text or claims_kept(text, genuine))
    if text != genuine.text and text.rpartition(".")[0] == genuine.text.rpartition(".")[0]:
        assert not station_accepts(text, genuine.expected)


@pytest.mark.promise("I1")
@FEW
@given(
    st.text(max_size=300) | st.binary(max_size=200).map(b64) | st.lists(st.binary(max_size=90).map(b64)).map(".".join)
)
def test_anything_at_all_is_refused_in_words_and_never_with_another_error(text: str) -> None:
    with pytest.raises(ReceiptError) as caught:
        world().pinned.verify(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 6000


@pytest.mark.promise("I1")
@FEW
@given(st.integers(0, 2**64), st.sampled_from(WAYS))
def test_no_refusal_steers_a_terminal_or_breaks_a_line(seed: int, way: Callable[[Genuine, Random], str]) -> None:
    """What a refused receipt says ends in the ledger, in a log and on a screen."""
    chance = Random(seed)
    genuine = chance.choice(world().receipts)
    try:
        check_claims(world().pinned.verify(way(genuine, chance)).claims, genuine.expected)
    except ReceiptError as error:
        words = str(error)
        assert words.isprintable(), words
        words.encode("utf-8")


@pytest.mark.promise("I1")
@pytest.mark.parametrize("point", sorted(SMALL_ORDER))
def test_a_key_of_small_order_is_never_pinned_and_never_named(point: bytes) -> None:
    for raw in (point, point[:31] + bytes([point[31] | 0x80])):
        with pytest.raises(ConfigError):
            PinnedKeys.read([f"{PREFIX}{b64(raw)}"])
        for genuine in world().receipts[:3]:
            header = json.dumps(
                {"alg": "EdDSA", "kid": thumbprint(raw), "typ": "clip-receipt+jwt"}, separators=(",", ":")
            )
            parts = [b64(header.encode()), genuine.text.split(".")[1], b64(raw + bytes(32))]
            with pytest.raises(ReceiptError) as caught:
                world().pinned.verify(".".join(parts))
            assert caught.value.flaw is Flaw.KEY
