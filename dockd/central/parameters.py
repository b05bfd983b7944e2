"""The parameters of a GET, read strictly.

Owns the words of a refusal. Knows no route.
"""

import re
from collections.abc import Mapping

from dockd.central.refusal import RefusedError

MAX_SEQ = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,19}")


def allow(parameters: Mapping[str, str], *names: str) -> None:
    """Refuse a parameter that there is none of.

    Raises:
        RefusedError: 400 with its name and those that there are.

    """
    for name in parameters:
        if name not in names:
            raise RefusedError(400, f"{name!r}: not a parameter, expected one of {', '.join(sorted(names))}")


def number(parameters: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    """Read a whole number.

    Raises:
        RefusedError: 400 with the parameter, its value and what was expected.

    """
    text = parameters.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise RefusedError(400, f"{name}: {text!r}: expected a whole number from {least} to {most}")
    return int(text)
