"""How dockctl prints: JSON, as one object or a list as long as it likes, and lines in which nothing steers a terminal.

Owns the form of all that dockctl writes: no other module of it prints.
"""

import json
from collections.abc import Iterator

from dockd.edges.control.shape import Document


def print_json(document: Document) -> None:
    """Print one JSON object."""
    print(json.dumps(document, indent=2))


def stream_json(name: str, rows: Iterator[Document]) -> None:
    """Print a list as one JSON object, a row a line, however long it is."""
    print(f'{{"{name}": [', end="")
    for index, row in enumerate(rows):
        print(f"{',' if index else ''}\n  {json.dumps(row)}", end="")
    print("\n]}")


def print_row(row: Document) -> None:
    """Print one JSON object on a line of its own, at once: others may come much later."""
    print(json.dumps(row), flush=True)


def say(*lines: str) -> None:
    """Print lines; whatever came from a camera, a store or a damaged ledger is in them, it stays within its line."""
    for line in lines:
        print(shown(line))


def shown(text: object) -> str:
    """Write text from outside so that nothing in it can steer a terminal: what is not printable becomes an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(text))
