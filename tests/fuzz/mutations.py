"""Receipts mutated by a seed: text, bytes, JSON, claims, keys and signatures; none of them may ever be accepted.

Owns the genuine receipts, the ways to spoil one, and who signs what is spoiled. Must not know how a station checks one:
that is handed in. `mutated_receipts(seed_from, count)` gives those that were accepted; the same seed is the same text.
"""

import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dockd.domain.receipt import Expected, ReceiptError, check_claims
from dockd.edges.keys import SMALL_ORDER
from tests.fuzz.receipts import Accepts, Genuine, b64, thumbprint, unb64, world
from tests.fuzz.spellings import replaced, respelled, tight

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the curve's base point: a signature whose S has it added fits the same equation (RFC 8032, section 5.1)."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OTHER_STATIONS = ("north-2", "North-1", "north-1 ", "", "*", "n\u00f6rth-1", "\ud800", "north-1\n", "north-1,south-2")
ODD = [*"=+/. \n\r\t\0~%\"'<\\", "\u0661", "\uff21", "\u2010", "\ud800", "A", "_", "-", "9"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A mutation that was taken for a receipt: a hole."""

    seed: int
    way: str
    text: str


def station_accepts(text: str, expected: Expected) -> bool:
    """Check a receipt as a station does: signature, form, and every claim."""
    try:
        check_claims(world().pinned.verify(text).claims, expected)
    except ReceiptError:
        return False
    return True


def mutated_receipts(seed_from: int, count: int, *, accepts: Accepts = station_accepts) -> list[Accepted]:
    """Mutate `count` receipts, one for each seed from `seed_from` on; give those that were accepted.

    A mutation that is by chance the genuine receipt of that clip and station is no mutation, and is left out.
    """
    holes: list[Accepted] = []
    for seed in range(seed_from, seed_from + count):
        way, text, expected = mutated(seed)
        if not _is_genuine(text, expected) and accepts(text, expected):
            holes.append(Accepted(seed=seed, way=way, text=text))
    return holes


def numbers(seeds: range) -> Iterator[tuple[int, str]]:
    """Give the seeds whose mutation was accepted: a harness of the soak."""
    yield from ((hole.seed, f"{hole.way}: {hole.text}") for hole in mutated_receipts(seeds.start, len(seeds)))


def mutated(seed: int) -> tuple[str, str, Expected]:
    """Give one mutation: its way, its text, and what the station expects."""
    chance = Random(seed)
    way = chance.choice(WAYS)
    genuine = chance.choice(world().receipts)
    return way.__name__.strip("_"), way(genuine, chance), genuine.expected


def _is_genuine(text: str, expected: Expected) -> bool:
    return any(genuine.text == text and genuine.expected == expected for genuine in world().receipts)


def _parts(genuine: Genuine) -> list[str]:
    return genuine.text.split(".")


def _other(genuine: Genuine, chance: Random) -> Genuine:
    return chance.choice([each for each in world().receipts if each is not genuine])


# --- the text -----------------------------------------------------------------------------------------------------


def _characters(genuine: Genuine, chance: Random) -> str:
    """Change, put in, leave out or exchange characters, a few."""
    text = list(genuine.text)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at = chance.randrange(len(text))
        match chance.randrange(5):
            case 0:
                text[at] = chance.choice(ALPHABET)
            case 1:
                text[at] = chance.choice(ODD)
            case 2:
                text.insert(at, chance.choice([*ALPHABET, *ODD]))
            case 3:
                del text[at]
            case _:
                text[at], text[at - 1] = text[at - 1], text[at]
    return "".join(text)


def _ends(genuine: Genuine, chance: Random) -> str:
    """Cut it, or put something before or after it."""
    more = "".join(chance.choice([*ALPHABET, *ODD]) for _ in range(chance.choice([1, 2, 3, 4, 86])))
    at = chance.randrange(len(genuine.text))
    return chance.choice([
        genuine.text[:at], genuine.text[at:], genuine.text + more, more + genuine.text, f'"{genuine.text}"',
        f"Bearer {genuine.text}", genuine.text + "." + more, "." + genuine.text, genuine.text * 2,
        f"{genuine.text},{genuine.text}", genuine.text.swapcase(), genuine.text[::-1],
    ])  # fmt: skip


def _spelling_of_base64(genuine: Genuine, chance: Random) -> str:
    """Spell the same bytes otherwise: padding, the other alphabet, stray bits, line feeds."""
    parts = _parts(genuine)
    at = chance.randrange(3)
    part = parts[at]
    match chance.randrange(5):
        case 0:
            parts[at] = part + "=" * chance.choice([1, 2, -len(part) % 4 or 4])
        case 1:
            parts[at] = part.replace("-", "+").replace("_", "/")
        case 2:
            parts[at] = part[:-1] + ALPHABET[ALPHABET.index(part[-1]) ^ chance.choice([1, 2, 3, 4, 8, 12])]
        case 3:
            place = chance.randrange(len(part))
            parts[at] = part[:place] + chance.choice(["\n", "\r\n", " ", "\t", "\x0b", "*", "\x00"]) + part[place:]
        case _:
            parts[at] = "".join(f"%{ord(char):02X}" if chance.random() < 0.1 else char for char in part)
    return ".".join(parts)


def _bits(genuine: Genuine, chance: Random) -> str:
    """Turn bits of the bytes behind the base64."""
    parts = _parts(genuine)
    at = chance.randrange(3)
    data = bytearray(unb64(parts[at]))
    for _ in range(chance.choice([1, 1, 2, 8])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    parts[at] = b64(bytes(data))
    return ".".join(parts)


def _parts_exchanged(genuine: Genuine, chance: Random) -> str:
    """Put parts of another receipt, or its own parts, in each other's places."""
    parts, others = _parts(genuine), _parts(_other(genuine, chance))
    match chance.randrange(4):
        case 0:
            parts[chance.randrange(3)] = others[chance.randrange(3)]
        case 1:
            chance.shuffle(parts)
        case 2:
            del parts[chance.randrange(3)]
        case _:
            parts.insert(chance.randrange(4), chance.choice([*parts, *others, ""]))
    return ".".join(parts)


def _replayed(genuine: Genuine, chance: Random) -> str:
    """Show the whole genuine receipt of another clip or station."""
    return _other(genuine, chance).text


def _other_serialization(genuine: Genuine, chance: Random) -> str:
    """Write it as JSON, as an encrypted one of five parts, inside another one, or with the payload apart."""
    header, payload, signature = _parts(genuine)
    flat = {"protected": header, "payload": payload, "signature": signature}
    inner = [{"protected": header, "signature": signature}]
    match chance.randrange(6):
        case 0:
            return json.dumps(flat)
        case 1:
            return json.dumps({"payload": payload, "signatures": inner})
        case 2:
            return f"{header}..{payload}.{signature}.{b64(bytes(16))}"
        case 3:
            return f"{header}..{signature}"
        case 4:
            return world().store.jws(tight(genuine.header), genuine.text.encode("ascii"))
        case _:
            return world().store.jws(
                tight([*genuine.header, ("cty", "JWT")]), b'"' + genuine.text.encode("ascii") + b'"'
            )


# --- the JSON, signed anew ----------------------------------------------------------------------------------------


def _signed_by_the_store(genuine: Genuine, chance: Random) -> str:
    """Spell header or payload otherwise, and let the store itself sign it: only the one form is a receipt."""
    header, payload = tight(genuine.header), tight(genuine.payload)
    if chance.random() < 0.4:
        return world().store.jws(respelled(genuine.header, chance), payload)
    return world().store.jws(header, respelled(genuine.payload, chance))


def _claims(genuine: Genuine, chance: Random) -> str:
    """Claim something else of the clip, in canonical form, signed by the store."""
    other = dict(_other(genuine, chance).payload)
    lengths = [0, 1, genuine.expected.length_bytes + chance.choice([-1, 1, 256, 2**32]), 2**63, 10**30]
    name, value = chance.choice([
        ("aud", chance.choice(OTHER_STATIONS)),
        ("clip_id", other["clip_id"]), ("clip_id", f"{chance.getrandbits(256):064x}"),
        ("length", chance.choice(lengths)),
        ("sha256", other["sha256"]), ("sha256", f"{chance.getrandbits(256):064x}"),
        ("sha256", dict(genuine.payload)["leaf"]),
        ("meta_sha256", other["meta_sha256"]), ("meta_sha256", dict(genuine.payload)["sha256"]),
    ])  # fmt: skip
    payload = replaced(genuine.payload, name, value)
    if payload == genuine.payload:  # the same clip at the other station has the same digest
        payload = replaced(payload, "aud", "elsewhere-9")
    return world().store.jws(tight(genuine.header), tight(payload))


def _signed_by_another(genuine: Genuine, chance: Random) -> str:
    """Leave every claim true, and sign with a key that is not pinned, or under the name of another one."""
    w = world()
    signer = chance.choice([w.rogue, w.rogue, w.older])
    kid = chance.choice([w.store.kid, w.rogue.kid, thumbprint(chance.choice(sorted(SMALL_ORDER)))])
    if signer is w.older and kid == w.older.kid:
        kid = w.store.kid
    header = replaced(genuine.header, "kid", kid)
    match chance.randrange(4):
        case 0:
            header.append(("jwk", b64(w.rogue.raw)))
        case 1:
            header.append(("x5c", ["MA"]))
        case _:
            pass
    header.sort(key=lambda pair: pair[0])
    return signer.jws(tight(header), tight(genuine.payload))


def _algorithm(genuine: Genuine, chance: Random) -> str:
    """Name another algorithm, and sign as it would: not at all, or with the public key for a secret."""
    w = world()
    alg = chance.choice(
        ["none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "RS256", "ES256", "Ed25519", "EdDSA ", ""]
    )
    if chance.random() < 0.3:
        alg = "EdDSA"
    header = tight(replaced(genuine.header, "alg", alg))
    signed = f"{b64(header)}.{b64(tight(genuine.payload))}"
    pem = w.store.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = chance.choice([w.store.raw, pem, pem.strip(), b64(w.store.raw).encode(), w.store.raw.hex().encode(), b""])
    kind = chance.choice(["sha256", "sha384", "sha512"])
    signature = hmac.new(secret, signed.encode("ascii"), kind).digest()
    made = chance.choice([signature, signature * 2, b"", bytes(64)])
    if chance.random() < 0.3 and alg != "EdDSA":
        return w.store.jws(header, tight(genuine.payload))
    return f"{signed}.{b64(made)}"


# --- the signature ------------------------------------------------------------------------------------------------


def _signature(genuine: Genuine, chance: Random) -> str:
    """Twist the signature: what the curve's equation allows beside it, another length, nothing, points of no use."""
    parts = _parts(genuine)
    signature = unb64(parts[2])
    point, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    match chance.randrange(7):
        case 0:
            twisted = point + (scalar + ORDER * chance.choice([1, 1, 2, 7])).to_bytes(33, "little")[:32]
        case 1:
            twisted = point + (-scalar % ORDER).to_bytes(32, "little")
        case 2:
            twisted = signature[: chance.randrange(64)]
        case 3:
            twisted = signature + chance.randbytes(chance.choice([1, 2, 32, 64]))
        case 4:
            twisted = chance.choice(sorted(SMALL_ORDER)) + chance.choice(
                [bytes(32), bytes([1]) + bytes(31), signature[32:]]
            )
        case 5:
            twisted = point[:31] + bytes([point[31] ^ 0x80]) + signature[32:]
        case _:
            twisted = chance.choice([bytes(64), b"\xff" * 64, chance.randbytes(64), signature[32:] + point])
    return ".".join([parts[0], parts[1], b64(twisted)])


Way = Callable[[Genuine, Random], str]

WAYS: Sequence[Way] = (
    _characters, _ends, _spelling_of_base64, _bits, _parts_exchanged, _replayed, _other_serialization,
    _signed_by_the_store, _signed_by_the_store, _claims, _claims, _signed_by_another, _algorithm, _signature,
)  # fmt: skip
"""Every way to spoil a receipt; those with most variants twice."""
