"""Every other spelling of a JSON object than the one that receipts have.

Owns ways to write pairs of names and values: order, doubled names, spaces, escapes, numbers, types, wrappings. Must not
know receipts.
"""

import json
from random import Random

Json = str | int | float | bool | None | list[str]
Pairs = list[tuple[str, Json]]


def tight(pairs: Pairs) -> bytes:
    """Write JSON as receipts are written, in the order given, doubled keys as they are."""
    inside = ",".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in pairs)
    return f"{{{inside}}}".encode("ascii")


def replaced(pairs: Pairs, name: str, value: Json) -> Pairs:
    """Give pairs with another value under one name."""
    return [(key, value if key == name else old) for key, old in pairs]


def respelled(pairs: Pairs, chance: Random) -> bytes:
    """Spell a JSON object in some other way than the one."""
    way = chance.choice([_shuffled, _doubled, _spaced, _escaped, _numbers, _added, _dropped, _retyped, _wrapped])
    return way(list(pairs), chance)


def _shuffled(pairs: Pairs, chance: Random) -> bytes:
    before = list(pairs)
    while pairs == before:
        chance.shuffle(pairs)
    return tight(pairs)


def _doubled(pairs: Pairs, chance: Random) -> bytes:
    key, value = chance.choice(pairs)
    twin = (key, chance.choice([value, "other", 7]))
    pairs.insert(chance.randrange(len(pairs) + 1), twin)
    return tight(pairs)


def _spaced(pairs: Pairs, chance: Random) -> bytes:
    text = tight(pairs).decode("ascii")
    ends = [0, len(text), *(at + 1 for at, char in enumerate(text) if char in "{,:")]
    at = chance.choice(ends)
    return (text[:at] + chance.choice([" ", "\n", "\t", "\r", "\ufeff", "  "]) + text[at:]).encode()


def _escaped(pairs: Pairs, chance: Random) -> bytes:
    text = tight(pairs).decode("ascii")
    at = chance.choice([at for at, char in enumerate(text) if char.isalnum()])
    escape = f"\\u{ord(text[at]):04x}" if chance.random() < 0.7 else f"\\u{ord(text[at]):04X}"
    return (text[:at] + escape + text[at + 1 :]).encode("ascii")


def _numbers(pairs: Pairs, chance: Random) -> bytes:
    text = tight(pairs).decode("ascii")
    number = dict(pairs).get("length")
    if number is None:
        return _retyped(pairs, chance)
    others = [
        f"{number}.0",
        f"{number}e0",
        f"{number}E+0",
        f"0{number}",
        f"+{number}",
        f"-{number}",
        f'"{number}"',
        "true",
    ]
    others += [f"{number}.", "null", "NaN", "Infinity", "1e400", "9" * 2000, f"[{number}]", f"{number}0e-1", "-0", ""]
    return text.replace(f":{number},", f":{chance.choice(others)},").encode("ascii")


def _added(pairs: Pairs, chance: Random) -> bytes:
    more: Pairs = [
        ("crit", ["b64"]),
        ("b64", False),
        ("cty", "JWT"),
        ("exp", 9),
        ("zip", "DEF"),
        ("note", "trust me"),
        ("", ""),
    ]
    pairs.append(chance.choice(more))
    return tight(sorted(pairs, key=lambda pair: pair[0]) if chance.random() < 0.7 else pairs)


def _dropped(pairs: Pairs, chance: Random) -> bytes:
    del pairs[chance.randrange(len(pairs))]
    return tight(pairs)


def _retyped(pairs: Pairs, chance: Random) -> bytes:
    at = chance.randrange(len(pairs))
    key, value = pairs[at]
    others: list[Json] = [
        None,
        True,
        0,
        1.5,
        [],
        [str(value)],
        "",
        str(value).upper() + "~",
        f" {value}",
        f"{value}\n",
        f"{value}\0",
    ]
    # What the store calls itself is its own affair: any text is canonical there, and its own signed word.
    pairs[at] = (key, chance.choice([other for other in others if key != "store" or not isinstance(other, str)]))
    return tight(pairs)


def _wrapped(pairs: Pairs, chance: Random) -> bytes:
    text = tight(pairs)
    return chance.choice([
        b"[" + text + b"]", text + text, text + b",", b'{"payload":' + text + b"}", json.dumps(text.decode()).encode(),
        text.decode().encode("utf-16"), text.decode().encode("utf-32"), b"\xef\xbb\xbf" + text, text + b"\0",
        b"", b"{}", b"null",
        b"{" * 500 + text, text[:-1],
    ])  # fmt: skip
