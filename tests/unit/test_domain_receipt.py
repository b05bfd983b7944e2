"""Receipts: one spelling only, every claim checked, and foreign tools read them too."""

import base64
import json
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from dockd.domain.jws import MAX_COMPACT_CHARS
from dockd.domain.model import ClipId, Sha256, StationId
from dockd.domain.receipt import (
    NO_LEAF,
    Claims,
    Expected,
    Flaw,
    ReceiptError,
    check_claims,
    compact,
    kid_of,
    parse_receipt,
    signing_input,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KID = kid_of(KEY.public_key().public_bytes_raw())
CLAIMS = Claims(
    clip_id=ClipId("c" * 64),
    aud=StationId("station-1"),
    length_bytes=123,
    sha256=Sha256("5" * 64),
    meta_sha256=Sha256("7" * 64),
    stored_at="2024-03-01T06:00:00.123456Z",
    store="store.example",
    leaf=NO_LEAF,
)
HEADER = '{"alg":"EdDSA","kid":"KID","typ":"clip-receipt+jwt"}'
PAYLOAD = (
    '{"aud":"station-1","clip_id":"' + "c" * 64 + '","leaf":"' + "0" * 64 + '","length":123,"meta_sha256":"'
    + "7" * 64 + '","sha256":"' + "5" * 64 + '","store":"store.example","stored_at":"2024-03-01T06:00:00.123456Z"}'
)  # fmt: skip
EXPECTED = Expected(
    clip_id=CLAIMS.clip_id,
    station=CLAIMS.aud,
    length_bytes=123,
    sha256=CLAIMS.sha256,
    metadata=frozenset({Sha256("6" * 64), CLAIMS.meta_sha256}),
)


def b64(text: str | bytes) -> str:
    return base64.urlsafe_b64encode(text.encode() if isinstance(text, str) else text).rstrip(b"=").decode()


def signed(claims: Claims = CLAIMS) -> str:
    body = signing_input(kid=KID, claims=claims)
    return compact(body, KEY.sign(body))


def spelled(*, header: str = HEADER, payload: str = PAYLOAD) -> str:
    """Sign any spelling: the signature is good, the form may not be."""
    body = f"{b64(header.replace('KID', KID))}.{b64(payload)}"
    return f"{body}.{b64(KEY.sign(body.encode()))}"


def test_the_canonical_spelling_is_the_one_written_here() -> None:
    assert signed() == spelled()


def test_a_receipt_is_read_back_as_it_was_written() -> None:
    receipt = parse_receipt(signed())
    assert (receipt.kid, receipt.claims, receipt.compact) == (KID, CLAIMS, signed())
    assert receipt.signing_input == signed().rpartition(".")[0].encode()
    KEY.public_key().verify(receipt.signature, receipt.signing_input)


def test_a_later_store_may_add_its_checkpoint() -> None:
    later = replace(CLAIMS, checkpoint="tree 5")
    assert parse_receipt(signed(later)).claims == later
    assert '"checkpoint":"tree 5"' in base64.urlsafe_b64decode(signed(later).split(".")[1] + "==").decode()


def test_a_foreign_library_verifies_our_receipts() -> None:
    payload = jwt.decode(signed(), KEY.public_key(), algorithms=["EdDSA"], audience="station-1")
    assert payload["clip_id"] == "c" * 64
    assert payload["length"] == 123
    assert jwt.get_unverified_header(signed()) == {"alg": "EdDSA", "kid": KID, "typ": "clip-receipt+jwt"}


def test_we_read_what_a_foreign_library_signs_if_it_spells_canonically() -> None:
    foreign = jwt.encode(json.loads(PAYLOAD), KEY, algorithm="EdDSA", headers={"kid": KID, "typ": "clip-receipt+jwt"})
    assert parse_receipt(foreign).claims == CLAIMS


def test_a_key_is_named_by_its_thumbprint() -> None:
    # RFC 8037, appendix A.3
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert kid_of(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


OTHER_PAYLOADS = {
    "keys in another order": '{"clip_id":"' + PAYLOAD.split('"clip_id":"')[1].replace("}", ',"aud":"station-1"}'),
    "a space after a comma": PAYLOAD.replace(",", ", ", 1),
    "a space at the end": PAYLOAD + " ",
    "a newline before": "\n" + PAYLOAD,
    "an escape that is not needed": PAYLOAD.replace("station-1", "st\\u0061tion-1"),
    "a solidus escaped": PAYLOAD.replace("store.example", "store\\/x"),
    "unescaped characters beyond ASCII": PAYLOAD.replace("store.example", "st\u00f6re"),
    "another case in an escape": PAYLOAD.replace("store.example", "st\\u00F6re"),
    "a doubled key, the first true": PAYLOAD.replace("}", ',"aud":"somebody-else"}'),
    "a doubled key, the last true": '{"aud":"somebody-else",' + PAYLOAD[1:],
    "a length with a fraction": PAYLOAD.replace(":123", ":123.0"),
    "a length with an exponent": PAYLOAD.replace(":123", ":1.23e2"),
    "a length as text": PAYLOAD.replace(":123", ':"123"'),
    "a length of true": PAYLOAD.replace(":123", ":true"),
    "a length below zero": PAYLOAD.replace(":123", ":-1"),
    "a length of minus zero": PAYLOAD.replace(":123", ":-0"),
    "a length with a leading zero": PAYLOAD.replace(":123", ":0123"),
    "no number at all": PAYLOAD.replace(":123", ":NaN"),
    "a length too long to be a number": PAYLOAD.replace(":123", ":" + "9" * 3000)[:2000],
    "a length of null": PAYLOAD.replace(":123", ":null"),
    "digits of another alphabet in a digest": PAYLOAD.replace("5" * 64, "\\u0665" * 64),
    "capital hex digits": PAYLOAD.replace("c" * 64, "C" * 64),
    "a digest too short": PAYLOAD.replace("5" * 64, "5" * 63),
    "a digest too long": PAYLOAD.replace("5" * 64, "5" * 65),
    "a digest with a newline": PAYLOAD.replace("5" * 64, "5" * 64 + "\\n"),
    "a leaf that is none": PAYLOAD.replace("0" * 64, "zero"),
    "a local time": PAYLOAD.replace("123456Z", "123456+01:00"),
    "a time without its day": PAYLOAD.replace("2024-03-01T", ""),
    "a claim missing": PAYLOAD.replace('"store":"store.example",', ""),
    "a claim too many": PAYLOAD.replace("}", ',"zzz":1}'),
    "an audience of many": PAYLOAD.replace('"aud":"station-1"', '"aud":["station-1"]'),
    "an audience of null": PAYLOAD.replace('"aud":"station-1"', '"aud":null'),
    "a store that is a number": PAYLOAD.replace('"store.example"', "5"),
    "a checkpoint that is a number": PAYLOAD.replace('"clip_id"', '"checkpoint":5,"clip_id"'),
    "a list": "[" + PAYLOAD + "]",
    "a text": '"receipt"',
    "nothing": "",
    "no JSON": "{",
    "deep nesting": "[" * 2000,
    "a byte order mark": "\ufeff" + PAYLOAD,
}
OTHER_HEADERS = {
    "no algorithm": HEADER.replace("EdDSA", "none"),
    "another algorithm": HEADER.replace("EdDSA", "HS256"),
    "another type": HEADER.replace("clip-receipt+jwt", "JWT"),
    "a header too many": HEADER.replace("}", ',"x":1}'),
    "a key in the header": HEADER.replace('"kid"', '"jwk":{},"kid"'),
    "an extension that must be understood": HEADER.replace('"kid"', '"crit":["b64"],"kid"'),
    "no key named": '{"alg":"EdDSA","typ":"clip-receipt+jwt"}',
    "a key name that is a path": HEADER.replace("KID", "../key"),
    "a key name too long": HEADER.replace("KID", "k" * 65),
    "an empty key name": HEADER.replace("KID", ""),
    "a key name that is a number": HEADER.replace('"KID"', "5"),
    "keys in another order": '{"kid":"KID","alg":"EdDSA","typ":"clip-receipt+jwt"}',
    "a space": HEADER.replace(",", ", "),
    "a doubled key": HEADER.replace("}", ',"alg":"EdDSA"}'),
    "a list": "[]",
}


def refused(text: str) -> ReceiptError:
    with pytest.raises(ReceiptError) as caught:
        parse_receipt(text)
    assert caught.value.flaw is Flaw.FORM
    assert str(caught.value).startswith("receipt not a receipt in canonical form: ")
    return caught.value


@pytest.mark.promise("I1")
@pytest.mark.parametrize("spelling", OTHER_PAYLOADS)
def test_a_payload_in_any_other_spelling_is_refused_however_well_it_is_signed(spelling: str) -> None:
    refused(spelled(payload=OTHER_PAYLOADS[spelling]))


@pytest.mark.promise("I1")
@pytest.mark.parametrize("spelling", OTHER_HEADERS)
def test_a_header_in_any_other_spelling_is_refused(spelling: str) -> None:
    refused(spelled(header=OTHER_HEADERS[spelling]))


def test_a_payload_that_is_the_same_text_in_another_encoding_is_refused() -> None:
    body = f"{b64(HEADER.replace('KID', KID))}.{b64(PAYLOAD.encode('utf-16'))}"
    refused(f"{body}.{b64(KEY.sign(body.encode()))}")


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text + "=", id="padding"),
        pytest.param(lambda text: text.replace(".", "=.", 1), id="padding inside"),
        pytest.param(lambda text: text + "\n", id="a newline after"),
        pytest.param(lambda text: " " + text, id="a space before"),
        pytest.param(lambda text: text.rpartition(".")[0], id="no signature"),
        pytest.param(lambda text: text + ".x", id="a part too many"),
        pytest.param(lambda text: text.replace(".", ":"), id="other dots"),
        pytest.param(lambda text: text + "AAA", id="characters too many"),
        pytest.param(lambda text: text[:40] + "\u0661" + text[41:], id="a digit of another alphabet"),
        pytest.param(lambda text: text[:40] + "+/" + text[42:], id="the other alphabet of base64"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "..", id="empty parts"),
        pytest.param(lambda text: text + "A" * MAX_COMPACT_CHARS, id="too long"),
    ],
)
def test_a_compact_form_that_is_not_ours_is_refused(spoil: "object") -> None:
    refused(spoil(signed()))  # type: ignore[operator]


def test_stray_bits_in_the_last_character_of_a_part_are_refused() -> None:
    head, _, signature = signed().rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    twin = signature[:-1] + alphabet[last ^ 1]  # 64 bytes end in four bits that say nothing
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    refused(f"{head}.{twin}")


def test_the_length_of_a_receipt_is_bounded_before_it_is_read() -> None:
    assert "5000 characters, expected at most 4096" in str(refused("x" * 5000))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_text_at_all_is_taken_for_a_receipt(data: bytes) -> None:
    refused(data.decode("latin-1"))


WRONG = {
    Flaw.CLIP: replace(CLAIMS, clip_id=ClipId("d" * 64)),
    Flaw.AUDIENCE: replace(CLAIMS, aud=StationId("station-2")),
    Flaw.LENGTH: replace(CLAIMS, length_bytes=124),
    Flaw.DIGEST: replace(CLAIMS, sha256=Sha256("6" * 64)),
    Flaw.METADATA: replace(CLAIMS, meta_sha256=Sha256("8" * 64)),
}


@pytest.mark.promise("I1")
@pytest.mark.parametrize("flaw", WRONG)
def test_each_claim_is_held_against_what_was_read_from_the_camera(flaw: Flaw) -> None:
    with pytest.raises(ReceiptError, match=f"receipt {flaw.value}: ") as caught:
        check_claims(WRONG[flaw], EXPECTED)
    assert caught.value.flaw is flaw


def test_what_the_store_says_of_itself_is_not_for_us_to_check() -> None:
    check_claims(replace(CLAIMS, store="elsewhere", stored_at="1999-01-01T00:00:00Z", leaf="f" * 64), EXPECTED)
    check_claims(replace(CLAIMS, meta_sha256=Sha256("6" * 64)), EXPECTED)


def test_a_refusal_names_both_values() -> None:
    with pytest.raises(ReceiptError, match=r"receipt is for another station: station-2, expected station-1$"):
        check_claims(WRONG[Flaw.AUDIENCE], EXPECTED)
    with pytest.raises(ReceiptError, match=f"{'8' * 64}, expected {'6' * 64} or {'7' * 64}$"):
        check_claims(WRONG[Flaw.METADATA], EXPECTED)


def test_a_refusal_of_words_that_steer_a_terminal_shows_them_escaped() -> None:
    with pytest.raises(ReceiptError, match=r"receipt is for another station: 'x\\x1b\[2J\\n', expected station-1$"):
        check_claims(replace(CLAIMS, aud=StationId("x\x1b[2J\n")), EXPECTED)
