"""What a type and a range cannot say of a setting: rules of one value, and rules between the values of a table.

Owns the rules and the words of their expectations. Must not read files nor know how a table is read.
"""

import ipaddress
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from dockd.config.wording import MISSING, Finding, shown
from dockd.domain.canonical import b64url_decode

KEY_PREFIX = "ed25519:"
KEY_BYTES = 32
ISSUE_PCT, FULL_PCT = 80, 95
CAMERA_MA, MOST_MA = 500, 1600
COOL_C, HOT_C = 45.0, 60.0
LEAST_LIMIT_BYTES_S = 16 * 1024
MOST_LABEL_CHARS = 64
MOST_PATH_BYTES = 4095
MOST_SOCKET_BYTES = 107
"""What fits a socket's address, its closing zero left out. Source: unix(7), sun_path."""

_STATION_ID = re.compile(r"[a-z0-9-]{1,64}")
_BOARD = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_URL_CHARS = re.compile(r"[!-~]+")


# --- of one value: give the expectation that is not met, or None ---------------------------------------------------


def station_id(value: str) -> str | None:
    """Hold a station's name against what fits topics, file names and receipts alike."""
    return None if _STATION_ID.fullmatch(value) else "1 to 64 of the characters a-z, 0-9 and '-'"


def label(value: str) -> str | None:
    """Hold a name for people against what fits one line."""
    if value.isprintable() and value.strip() and len(value) <= MOST_LABEL_CHARS:
        return None
    return f"a text of 1 to {MOST_LABEL_CHARS} printable characters"


def group(value: str) -> str | None:
    """Hold a group's name against what Debian's groupadd takes."""
    return None if _GROUP.fullmatch(value) else "a group's name: a-z or '_', then a-z, 0-9, '_' or '-', at most 32"


def absolute_path(value: str) -> str | None:
    """Hold a path against what can mean one file only, wherever dockd was started."""
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or not value.isprintable():
        return "an absolute path, starting with '/' and without '..'"
    return None if len(value.encode()) <= MOST_PATH_BYTES else f"a path of at most {MOST_PATH_BYTES} bytes"


def board_name(value: str) -> str | None:
    """Hold the name of a board against what names a file of hw/boards, or one anywhere."""
    if value.startswith("/"):
        return absolute_path(value)
    wanted = "the name of a file of hw/boards without '.toml', or the absolute path of one"
    return None if _BOARD.fullmatch(value) else wanted


def time_of_day(value: str) -> str | None:
    """Hold a time of day against the one way to write it."""
    return None if _TIME_OF_DAY.fullmatch(value) else 'a time of day from "00:00" to "23:59"'


def socket_path(value: str) -> str | None:
    """Hold a path against what fits a socket's address."""
    long = f"a path of at most {MOST_SOCKET_BYTES} bytes, which is what a socket's address holds"
    return absolute_path(value) or (long if len(value.encode()) > MOST_SOCKET_BYTES else None)


def receipt_key(value: str) -> str | None:
    """Hold a receipt key against its two forms; whether a file holds keys is seen when they are pinned."""
    if not value.startswith(KEY_PREFIX):
        wanted = f"'{KEY_PREFIX}' and 43 characters of base64url, or the absolute path of a file of keys"
        return wanted if absolute_path(value) else None
    try:
        found = len(b64url_decode(value.removeprefix(KEY_PREFIX)))
    except ValueError:
        found = 0
    return (
        None if found == KEY_BYTES else f"'{KEY_PREFIX}' and {KEY_BYTES} bytes as base64url: 43 characters, no padding"
    )


def limit(value: int) -> str | None:
    """Hold a rate against the least that still brings a shift home."""
    return f"0 for no limit, or at least {LEAST_LIMIT_BYTES_S}" if 0 < value < LEAST_LIMIT_BYTES_S else None


def store_url(value: str) -> str | None:
    """Hold the store's address against what a tus client can use, and safely."""
    form = "an https:// address such as https://store.example/files/"
    if not _URL_CHARS.fullmatch(value):
        return form
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return form
    flaws = (
        (parts.scheme not in {"http", "https"} or not host or port == 0, form),
        ("@" in parts.netloc, "an address without name and password: token_file or cert_file let this station in"),
        ("?" in value or "#" in value, "an address without '?' and '#'"),
        (not value.endswith("/"), "an address that ends in '/'"),
        (parts.scheme == "http" and not _loopback(host or ""), "https:// for a store on another machine"),
    )
    return next((expected for is_there, expected in flaws if is_there), None)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- between values as written; a value that is wrong in itself is somebody else's to report -------------------------


def of_store(store: object) -> Iterator[Finding]:
    """Give what the settings of [store] say against each other."""
    if not isinstance(store, dict):
        return
    yield from _of_proof(store)
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in store and other not in store:
            expected = f"both cert_file and key_file, since {one} is set"
            yield Finding(path=("store", other), value=MISSING, expected=expected)
    if str(store.get("url")).startswith("http://"):
        for name in ("ca_file", "cert_file"):
            if name in store:
                path, expected = ("store", name), "no certificates with an http:// url"
                yield Finding(path=path, value=shown(path, store[name]), expected=expected)


def of_bays(bays: object) -> Iterator[Finding]:
    """Give the bays that have the number of an earlier one."""
    first: dict[int, int] = {}
    for index, bay in enumerate(bays if isinstance(bays, list) else ()):
        number = bay.get("number") if isinstance(bay, dict) else None
        if type(number) is not int:  # bool is an int to Python
            continue
        if number in first:
            path, expected = ("bays", index, "number"), f"a number of its own: bays[{first[number]}] has it"
            yield Finding(path=path, value=shown(path, number), expected=expected)
        first.setdefault(number, index)


def of_charging(charging: object) -> Iterator[Finding]:
    """Give what the settings of [charging] say against each other; what is left out has its default."""
    if not isinstance(charging, dict):
        return
    for name, default, other, others_default, is_wrong, expected in (
        ("full_pct", FULL_PCT, "issue_pct", ISSUE_PCT, operator.lt, "at least issue_pct"),
        ("most_ma", MOST_MA, "camera_ma", CAMERA_MA, operator.le, "more than camera_ma"),
        ("cool_c", COOL_C, "hot_c", HOT_C, operator.ge, "less than hot_c"),
    ):
        value, against = charging.get(name, default), charging.get(other, others_default)
        are_numbers = {type(value), type(against)} <= {int, float}  # bool is an int to Python
        if are_numbers and is_wrong(value, against):
            path = ("charging", name)
            found = shown(path, value) if name in charging else f"{MISSING}: {value:g}"
            yield Finding(path=path, value=found, expected=f"{expected}, which is {against:g}")


def of_buses(settings: Mapping[str, object]) -> Iterator[Finding]:
    """Give the bays that have a bus of their own though a board says which they are on."""
    hardware, bays = settings.get("hardware"), settings.get("bays")
    if not isinstance(hardware, dict) or "board" not in hardware:
        return
    for index, bay in enumerate(bays if isinstance(bays, list) else ()):
        if isinstance(bay, dict) and "bus" in bay:
            path, expected = ("bays", index, "bus"), "no bus, since hardware.board says which bus each bay is on"
            yield Finding(path=path, value=shown(path, bay["bus"]), expected=expected)


def _of_proof(store: Mapping[str, object]) -> Iterator[Finding]:
    path = ("store", "receipt_keys")
    verify, keys = store.get("verify", "signed"), store.get("receipt_keys")
    if verify == "signed" and not keys and (keys is None or keys == []):
        value = MISSING if keys is None else shown(path, keys)
        expected = 'at least one key with verify = "signed": see dockd central --show-key'
        yield Finding(path=path, value=value, expected=expected)
    if verify in ("readback", "accepted") and keys not in (None, []):
        expected = f'no keys with verify = "{verify}", which asks for no receipt'
        yield Finding(path=path, value=shown(path, keys), expected=expected, hint='did you mean verify = "signed"?')
