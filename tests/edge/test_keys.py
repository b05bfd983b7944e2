"""Receipt keys: only the pinned store's own words, in the one spelling it writes, are believed."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, strategies as st

from dockd.domain.canonical import b64url
from dockd.domain.model import ClipId, Sha256, StationId
from dockd.domain.receipt import Claims, Flaw, ReceiptError, compact, kid_of, signing_input
from dockd.edges import keys as keys_edge
from dockd.edges.keys import PinnedKeys
from dockd.errors import ConfigError, Problem

if TYPE_CHECKING:
    from dockd.app.ports import Keys

pytestmark = pytest.mark.promise("I1")

STORE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
CLAIMS = Claims(
    clip_id=ClipId("c1" * 32),
    aud=StationId("soho-2"),
    length_bytes=1_048_576,
    sha256=Sha256("5a" * 32),
    meta_sha256=Sha256("3e" * 32),
    stored_at="2026-03-01T06:12:44.120Z",
    store="store.example",
    leaf="1f" * 32,
)
PAYLOAD: Mapping[str, str | int] = {
    "aud": "soho-2",
    "clip_id": "c1" * 32,
    "leaf": "1f" * 32,
    "length": 1_048_576,
    "meta_sha256": "3e" * 32,
    "sha256": "5a" * 32,
    "store": "store.example",
    "stored_at": "2026-03-01T06:12:44.120Z",
}
BACKWARDS = dict(reversed(list(PAYLOAD.items())))


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def line(key: Ed25519PrivateKey) -> str:
    return f"ed25519:{b64url(raw(key))}"


def pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def receipt(key: Ed25519PrivateKey = STORE, *, kid: str | None = None) -> str:
    signed = signing_input(kid=kid or kid_of(raw(key)), claims=CLAIMS)
    return compact(signed, key.sign(signed))


def spelled(header: str, payload: str) -> str:
    """A receipt whose header and payload are spelled as given, well signed by the store."""
    signed = f"{b64url(header.encode())}.{b64url(payload.encode())}".encode()
    return compact(signed, STORE.sign(signed))


def plain(value: Mapping[str, str | int]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


HEADER = plain({"alg": "EdDSA", "kid": kid_of(raw(STORE)), "typ": "clip-receipt+jwt"})
VALID = receipt()
PINNED = PinnedKeys.read([line(STORE)])


def flaw_of(text: str, keys: PinnedKeys = PINNED) -> Flaw:
    with pytest.raises(ReceiptError) as refused:
        keys.verify(text)
    return refused.value.flaw


# --- receipts -----------------------------------------------------------------------------------------------------


def test_a_receipt_under_the_pinned_key_is_believed() -> None:
    keys: Keys = PINNED
    assert keys.pinned()
    assert keys.verify(VALID).claims == CLAIMS
    assert spelled(HEADER, plain(PAYLOAD)) == VALID


def test_two_keys_may_be_pinned_while_the_store_changes_its_key() -> None:
    keys = PinnedKeys.read([line(STORE), line(OTHER)])
    assert keys.verify(receipt(OTHER)).kid == kid_of(raw(OTHER))
    assert keys.verify(receipt(STORE)).kid == kid_of(raw(STORE))


def test_a_receipt_under_another_key_is_refused() -> None:
    assert flaw_of(receipt(OTHER)) is Flaw.KEY


def test_a_receipt_of_another_key_under_the_pinned_ones_name_is_refused() -> None:
    assert flaw_of(receipt(OTHER, kid=kid_of(raw(STORE)))) is Flaw.SIGNATURE


def test_a_valid_signature_under_an_unknown_name_is_refused() -> None:
    assert flaw_of(receipt(STORE, kid="key-1")) is Flaw.KEY


def test_without_keys_nothing_is_believed() -> None:
    keys = PinnedKeys.read([])
    assert not keys.pinned()
    assert flaw_of(VALID, keys) is Flaw.KEY


@given(st.integers(0, len(VALID) - 1), st.characters(max_codepoint=0x24F, exclude_categories=["Cs"]))
def test_no_receipt_with_one_character_changed_is_believed(place: int, char: str) -> None:
    changed = VALID[:place] + char + VALID[place + 1 :]
    if changed != VALID:
        assert flaw_of(changed) in {Flaw.FORM, Flaw.KEY, Flaw.SIGNATURE}


@given(st.integers(0, len(VALID)), st.text(min_size=1, max_size=8))
def test_no_receipt_with_something_put_in_is_believed(place: int, text: str) -> None:
    assert flaw_of(VALID[:place] + text + VALID[place:]) in {Flaw.FORM, Flaw.KEY, Flaw.SIGNATURE}


@given(st.integers(0, len(VALID) - 1), st.integers(1, 90))
def test_no_receipt_with_something_left_out_is_believed(place: int, length: int) -> None:
    assert flaw_of(VALID[:place] + VALID[place + length :]) in {Flaw.FORM, Flaw.KEY, Flaw.SIGNATURE}


@given(st.integers(0, 63), st.integers(0, 7))
def test_no_receipt_with_one_bit_of_its_signature_turned_is_believed(byte: int, bit: int) -> None:
    signed = signing_input(kid=kid_of(raw(STORE)), claims=CLAIMS)
    signature = bytearray(STORE.sign(signed))
    signature[byte] ^= 1 << bit
    assert flaw_of(compact(signed, bytes(signature))) is Flaw.SIGNATURE


def test_the_other_signature_that_the_curve_allows_is_refused() -> None:
    """S + L fits the same equation; RFC 8032 section 5.1.7 has it refused, so that a receipt has one spelling."""
    group_order = 2**252 + 27742317777372353535851937790883648493
    signed = signing_input(kid=kid_of(raw(STORE)), claims=CLAIMS)
    signature = STORE.sign(signed)
    other = (int.from_bytes(signature[32:], "little") + group_order).to_bytes(32, "little")
    assert flaw_of(compact(signed, signature[:32] + other)) is Flaw.SIGNATURE


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        pytest.param(
            HEADER, json.dumps(dict(reversed(list(PAYLOAD.items()))), separators=(",", ":")), id="claims reordered"
        ),
        pytest.param(HEADER, json.dumps(PAYLOAD, sort_keys=True), id="spaces"),
        pytest.param(HEADER, plain(PAYLOAD) + "\n", id="a line feed at the end"),
        pytest.param(HEADER, plain(PAYLOAD).replace('{"aud"', '{"aud":"soho-2","aud"'), id="a claim doubled"),
        pytest.param(HEADER, plain(PAYLOAD).replace("soho", "s\\u006fho"), id="an escape that is not needed"),
        pytest.param(HEADER, plain(PAYLOAD).replace("1048576", "1048576.0"), id="a length as a fraction"),
        pytest.param(HEADER, plain(PAYLOAD).replace("1048576", "1e6"), id="a length with an exponent"),
        pytest.param(HEADER, plain({**PAYLOAD, "length": True}), id="a length that is a truth"),
        pytest.param(HEADER, plain({**PAYLOAD, "sha256": "5A" * 32}), id="a digest in capitals"),
        pytest.param(HEADER, plain({**PAYLOAD, "more": 1}), id="a claim too many"),
        pytest.param(HEADER, plain({key: PAYLOAD[key] for key in PAYLOAD if key != "leaf"}), id="a claim too few"),
        pytest.param(HEADER, f"[{plain(PAYLOAD)}]", id="an array"),
        pytest.param(HEADER.replace("EdDSA", "none"), plain(PAYLOAD), id="alg none"),
        pytest.param(HEADER.replace("EdDSA", "HS256"), plain(PAYLOAD), id="alg HS256"),
        pytest.param(HEADER.replace("EdDSA", "Ed25519"), plain(PAYLOAD), id="another name of the alg"),
        pytest.param(HEADER.replace("clip-receipt+jwt", "JWT"), plain(PAYLOAD), id="another typ"),
        pytest.param(HEADER.replace("{", '{"crit":["b64"],', 1), plain(PAYLOAD), id="a header too many"),
        pytest.param(HEADER.replace('"alg"', '"alg":"none","alg"'), plain(PAYLOAD), id="a header doubled"),
        pytest.param(HEADER.replace(",", ", "), plain(PAYLOAD), id="spaces in the header"),
    ],
)
def test_any_other_spelling_is_refused_however_well_it_is_signed(header: str, payload: str) -> None:
    assert flaw_of(spelled(header, payload)) is Flaw.FORM


def test_a_receipt_with_no_signature_is_refused() -> None:
    header = HEADER.replace("EdDSA", "none")
    assert flaw_of(f"{b64url(header.encode())}.{b64url(plain(PAYLOAD).encode())}.") is Flaw.FORM
    assert flaw_of(VALID.rpartition(".")[0] + ".") is Flaw.SIGNATURE


def test_a_signature_keyed_with_the_public_key_is_refused() -> None:
    """The old trick of calling a public key a shared secret."""
    header = HEADER.replace("EdDSA", "HS256")
    signed = f"{b64url(header.encode())}.{b64url(plain(PAYLOAD).encode())}"
    assert flaw_of(f"{signed}.{b64url(raw(STORE))}") is Flaw.FORM


@pytest.mark.parametrize("part", [0, 1, 2])
def test_padded_base64_is_refused(part: int) -> None:
    parts = VALID.split(".")
    parts[part] += "=" * (-len(parts[part]) % 4 or 4)
    assert flaw_of(".".join(parts)) is Flaw.FORM


def test_stray_bits_at_the_end_of_the_signature_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = VALID[:-1] + alphabet[alphabet.index(VALID[-1]) | 1]
    last = stray.rpartition(".")[2]
    assert base64.urlsafe_b64decode(last + "==") == base64.urlsafe_b64decode(VALID.rpartition(".")[2] + "==")
    assert flaw_of(stray) is Flaw.FORM


# --- keys ---------------------------------------------------------------------------------------------------------


def problems_of(*texts: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        PinnedKeys.read(texts)
    return refused.value.problems


def test_a_file_may_hold_lines_comments_and_pem(tmp_path: Path) -> None:
    path = tmp_path / "store.pub"
    path.write_text(f"# since May\n\n{line(STORE)}  # the old one\n{pem(OTHER)}")
    keys = PinnedKeys.read([str(path)])
    assert set(keys.keys) == {kid_of(raw(STORE)), kid_of(raw(OTHER))}
    assert keys.verify(receipt(OTHER)).claims == CLAIMS


def test_the_same_key_twice_is_one_key(tmp_path: Path) -> None:
    (tmp_path / "store.pem").write_text(pem(STORE))
    assert set(PinnedKeys.read([line(STORE), str(tmp_path / "store.pem")]).keys) == {kid_of(raw(STORE))}


@pytest.mark.parametrize(
    "text",
    ["ed25519:", line(STORE)[:-1], line(STORE) + "=", line(STORE) + "A", "ed25519: " + b64url(raw(STORE)), "ed25519:é"],
)
def test_a_key_that_is_no_key_is_refused(text: str) -> None:
    (problem,) = problems_of(text)
    assert (problem.path, problem.value) == ("store.receipt_keys", repr(text))
    assert problem.expected == "'ed25519:' and 32 bytes as base64url: 43 characters, no padding"


def test_every_wrong_key_is_shown_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "store.pub"
    path.write_text(f"{line(STORE)}\nEd25519:x\nnothing\n")
    problems = problems_of(line(STORE), "ed25519:x", str(path), str(tmp_path / "gone"))
    assert [(problem.path, problem.value) for problem in problems] == [
        ("store.receipt_keys[1]", "'ed25519:x'"),
        (f"store.receipt_keys[2]: {path}", "'Ed25519:x'"),
        (f"store.receipt_keys[2]: {path}", "'nothing'"),
        ("store.receipt_keys[3]", f"'{tmp_path}/gone': No such file or directory"),
    ]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", "0 characters and 0 keys"),
        (b"# only words\n", "13 characters and 0 keys"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * 65_537, "65537 characters and 0 keys"),
    ],
)
def test_a_file_without_keys_is_refused(tmp_path: Path, content: bytes, value: str) -> None:
    path = tmp_path / "store.pub"
    path.write_bytes(content)
    (problem,) = problems_of(str(path))
    assert problem.value == f"'{path}': {value}"
    assert "a file of receipt keys" in problem.expected


def test_a_path_that_can_be_none_is_refused() -> None:
    assert problems_of("a\0b")[0].path == "store.receipt_keys"


def test_a_private_key_is_refused_with_the_way_to_the_public_one(tmp_path: Path) -> None:
    private = STORE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (tmp_path / "store.key").write_text(private)
    (problem,) = problems_of(str(tmp_path / "store.key"))
    assert problem.value == "-----BEGIN PRIVATE KEY-----"
    assert problem.hint == "from a private key: openssl pkey -pubout"
    assert private.splitlines()[1] not in str(problem)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    public = X25519PrivateKey.generate().public_key()
    (tmp_path / "store.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (problem,) = problems_of(str(tmp_path / "store.pem"))
    assert (problem.value, problem.expected) == ("-----BEGIN PUBLIC KEY-----", "a PEM public key of Ed25519")


def test_a_key_under_which_anybody_can_sign_is_refused(tmp_path: Path) -> None:
    """A placeholder of zeros must never pass for a key: some signatures fit it whatever is signed."""
    (problem,) = problems_of("ed25519:" + "A" * 43)
    assert problem.expected == "the key of a store: under this one anybody can sign anything"
    negative = "ed25519:" + b64url(bytes([1]) + bytes(30) + bytes([0x80]))
    assert problems_of(negative)[0].expected == problem.expected


def test_the_weak_keys_are_all_the_points_that_eight_steps_bring_home() -> None:
    """Each listed point times 8 is the neutral one, by the curve's own arithmetic (RFC 8032, section 5.1)."""
    prime = 2**255 - 19
    curve_d = -121665 * pow(121666, -1, prime) % prime

    def doubled(point: tuple[int, int]) -> tuple[int, int]:
        x, y = point
        xxyy = curve_d * x * x * y * y
        return 2 * x * y * pow(1 + xxyy, -1, prime) % prime, (y * y + x * x) * pow(1 - xxyy, -1, prime) % prime

    def point_of(encoded: bytes) -> tuple[int, int]:
        y = int.from_bytes(encoded, "little") % prime
        xx = (y * y - 1) * pow(curve_d * y * y + 1, -1, prime) % prime
        x = pow(xx, (prime + 3) // 8, prime)
        if x * x % prime != xx:
            x = x * pow(2, (prime - 1) // 4, prime) % prime
        assert x * x % prime == xx
        return x, y

    for encoded in keys_edge.SMALL_ORDER:
        assert doubled(doubled(doubled(point_of(encoded)))) == (0, 1)
    # Five y in seven spellings: 0 and 1 can be written with the prime added.
    assert len({point_of(encoded)[1] for encoded in keys_edge.SMALL_ORDER}) == 5
