"""dockctl's end of the local socket, with the standard library alone: it has to answer at once.

Owns the connection and what its failures mean.
"""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from dockd.edges.control.shape import Document
from dockd.errors import DockdError

DEADLINE_S = 5.0
LONG_DEADLINE_S = 600.0
"""For what goes through everything that is stored."""


class DaemonDownError(DockdError):
    """Nobody answers on the socket."""


class UnknownError(DockdError):
    """The daemon has nothing of that name or number."""


class ForbiddenError(DockdError):
    """The socket is there, and not for us."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, *, deadline_s: float) -> None:
        super().__init__("localhost", timeout=deadline_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, question: str, parameters: Mapping[str, str | int | None] | None = None) -> Document:
    """Ask the daemon one question, such as `status`, and give its answer. Raises as `wish` does."""
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    deadline_s = LONG_DEADLINE_S if question == "verify" else DEADLINE_S
    return _exchange(path, "GET", f"{question}?{urlencode(given)}", body=None, deadline_s=deadline_s)


def wish(path: Path, verb: str, wanted: Document) -> Document:
    """Tell the daemon a wish, such as `quarantine/retry`, and give its answer.

    Raises:
        DaemonDownError: no socket, or nobody behind it.
        ForbiddenError: the socket is for another group.
        UnknownError: what is asked for is not there.
        DockdError: the daemon refused, in its own words.

    """
    return _exchange(path, "POST", verb, body=json.dumps(wanted), deadline_s=LONG_DEADLINE_S)


def _exchange(path: Path, method: str, target: str, *, body: str | None, deadline_s: float) -> Document:
    connection = _UnixConnection(path, deadline_s=deadline_s)
    try:
        connection.request(method, f"/v1/{target}", body=body)
        response = connection.getresponse()
        told = response.read()
    except PermissionError as error:
        raise ForbiddenError(f"{path}: you may not use it, expected a member of its group") from error
    except (OSError, http.client.HTTPException) as error:
        raise DaemonDownError(f"{path}: {error}: expected a running dockd there") from error
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        raise UnknownError(told.decode("utf-8", "replace"))
    if response.status != http.client.OK:
        raise DockdError(told.decode("utf-8", "replace"))
    return cast("Document", json.loads(told))


def pages(path: Path, question: str, parameters: Mapping[str, str | int | None]) -> Iterator[Document]:
    """Ask for every row of a list, a page at a time."""
    after: int | None = 0
    while after is not None:
        page = ask(path, question, {**parameters, "after": after})
        yield from cast("list[Document]", page[question])
        after = cast("int | None", page["next"])
