"""The helper's start: `python -I -S -B dockd/helper/__main__.py`, with a connection from systemd and no argument."""

import errno
import json
import os
import pwd
import socket
import struct
import sys
from collections.abc import Callable

# Last, so that nothing that lies beside dockd can stand in for a part of the standard library.
sys.path.append(__file__.removesuffix("/dockd/helper/__main__.py"))

from dockd.helper.request import MOST_BYTES, RefusalError, request_of
from dockd.helper.verbs import Answer, Verbs

USER = "dockd"


def serve(connection: socket.socket, verbs: Callable[..., Verbs], *, user: int) -> None:
    """Answer the one request of a connection; `user` is who may ask."""
    connection.settimeout(5.0)  # s
    _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    message, fd, answer = b"", None, Answer(errno=errno.EPERM, say=f"user {uid}: expected {user}")
    try:
        if uid == user:
            message = connection.recv(MOST_BYTES + 1)
            answer, fd = verbs(uid=uid, gid=gid).perform(request_of(message))
            answer["errno"] = 0
    except RefusalError as error:
        answer = Answer(errno=error.errno, say=str(error)[:500])
    except OSError as error:
        number = errno.ENODEV if isinstance(error, FileNotFoundError) else error.errno or errno.EIO
        answer = Answer(errno=number, say=str(error)[:500])
    sys.stderr.write(f"<5>{message[:200]!a}: {answer!a}\n")  # the journal reads 5 as its level: notice
    socket.send_fds(connection, [json.dumps(answer).encode("ascii")], [] if fd is None else [fd])
    if fd is not None:
        os.close(fd)


if __name__ == "__main__":
    if (os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")) != (str(os.getpid()), "1"):
        sys.exit("dockd-helper: expected one connection from systemd (Accept=yes)")
    serve(socket.socket(fileno=3), Verbs, user=pwd.getpwnam(USER).pw_uid)
