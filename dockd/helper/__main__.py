"""The helper's start: `python -I -S -B dockd/helper/__main__.py`, with a socket from systemd and no argument."""

import errno
import json
import os
import pwd
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

# Last, so that nothing that lies beside dockd can stand in for a part of the standard library.
sys.path.append(__file__.removesuffix("/dockd/helper/__main__.py"))

from dockd.helper.request import MOST_BYTES, request_of
from dockd.helper.verbs import Answer, Verbs


def connected(listener: socket.socket, *, most: int = 48, within_s: float = 60.0) -> socket.socket:
    """Give each connection, in a process of its own and no other; the one that listens ends when nobody asks."""
    working = 0
    while True:
        ready, _, _ = select.select([listener] * (working < most), (), (), 1.0 if working else within_s)
        if not (ready or working):
            sys.exit()
        while working and (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            working -= 1
            if ended[1]:
                sys.stderr.write(f"<4>process {ended[0]}: wait status {ended[1]}\n")
        if ready:
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.setitimer(signal.ITIMER_REAL, within_s)  # nobody handles its signal: it ends the process
                return connection
            working += 1
            connection.close()


def serve(connection: socket.socket, verbs: Callable[..., Verbs], *, user: int) -> None:
    """Answer the one request of a connection; `user` is who may ask."""
    connection.settimeout(5.0)  # s
    _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    message, fd, answer = b"", None, Answer(errno=errno.EPERM, say=f"user {uid}: expected {user}")
    try:
        if uid == user:
            message = connection.recv(MOST_BYTES + 1)
            answer, fd = verbs(uid=uid, gid=gid).perform(request_of(message))
    except OSError as error:
        number = errno.ENODEV if isinstance(error, FileNotFoundError) else error.errno or errno.EIO
        answer = Answer(errno=number, say=str(error).removeprefix(f"[Errno {error.errno}] ")[:500])
    sys.stderr.write(f"<5>{message[:200]!a}: {answer!a}\n")  # the journal reads 5 as its level: notice
    socket.send_fds(connection, [json.dumps({"errno": 0, **answer}).encode("ascii")], [] if fd is None else [fd])
    if fd is not None:
        os.close(fd)


if __name__ == "__main__":
    if (os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")) != (str(os.getpid()), "1"):
        sys.exit("dockd-helper: expected one socket from systemd (Accept=no)")
    user = pwd.getpwnam("dockd").pw_uid
    serve(connected(socket.socket(fileno=3)), Verbs, user=user)
    os._exit(0)  # Python's own end would cost more than the request
