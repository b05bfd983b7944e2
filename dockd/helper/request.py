"""What may be asked, to the last key. Knows no device."""

import errno
import json
import re
from dataclasses import dataclass

MOST_BYTES = 4096
MOST_BAY = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A verb and its bay; `vendor` and `product` are of authorise, `on` is of power."""

    do: str
    bay: int
    vendor: str = ""
    product: str = ""
    on: bool | None = None


def request_of(message: bytes) -> Request:
    """Read a request. Raises OSError: EBADMSG."""
    try:
        fields = json.loads(message.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise OSError(errno.EBADMSG, f"no JSON of ours: {error!a}") from error
    match fields:
        case {"do": "authorise", "bay": int(), "vendor": str(vendor), "product": str(product), **rest}:
            fit = not rest and all(re.fullmatch("[0-9a-f]{4}", word) for word in (vendor, product))
        case {"do": "power", "bay": int(), "on": bool(), **rest}:
            fit = not rest
        case {"do": "mount" | "writable" | "device" | "power", "bay": int(), **rest}:
            fit = not rest
        case _:
            fit = False
    if not fit or len(message) > MOST_BYTES or fields["bay"] is True or not 1 <= fields["bay"] <= MOST_BAY:
        raise OSError(errno.EBADMSG, f"expected a verb, a bay from 1 to {MOST_BAY} and what belongs to the verb")
    return Request(**fields)
