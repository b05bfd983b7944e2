"""A file with the receipts that a store lists for a station, in the forms in which people get it.

Owns that reading: the store's answers to GET /receipts, one after the other as curl left them, or one JWS a line.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from dockd.errors import DockdError


def receipts_in(file: Path) -> Iterator[str]:
    """Give every receipt of a file as its compact JWS, unchecked.

    Raises:
        FileNotFoundError: there is no such file.
        DockdError: it is neither form; before the first receipt is given.

    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DockdError(f"{file}: is no text, expected receipts") from error
    found = list(_documents(file, text)) if text.lstrip().startswith("{") else text.split()
    return iter(found)


def _documents(file: Path, text: str) -> Iterator[str]:
    decoder, at = json.JSONDecoder(), 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        try:
            document, at = decoder.raw_decode(text, at)
            for line in document["receipts"]:
                yield str(line["receipt"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DockdError(f"{file}: is no answer to GET /receipts: {error!r}") from error
