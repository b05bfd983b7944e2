"""A card with bad sectors for tests: a folder at a mount of its own, in which reads of chosen bytes fail with EIO.

The errors are the kernel's own: they come through its page cache, as those of a card do.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MOUNTED = b"mounted\n"
WITHIN_S = 20.0


class NotMountedError(Exception):
    """This machine lets nobody mount a filesystem of their own."""


@contextmanager
def torn_card(folder: Path, mount: Path, bad: Sequence[str]) -> Iterator[Path]:
    """Show a folder at a mount, with errors in it; the mount is gone afterwards.

    Raises:
        NotMountedError: it cannot be.

    """
    mount.mkdir()
    program = Path(__file__).with_name("torn_fs.py")
    command = [sys.executable, str(program), str(folder), str(mount), *bad]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with server:
            assert server.stdout is not None
            assert server.stderr is not None
            if server.stdout.readline() != MOUNTED:
                raise NotMountedError(server.stderr.read().decode(errors="replace"))
            try:
                yield mount
            finally:
                subprocess.run(["umount", "--lazy", str(mount)], check=False, capture_output=True)
                server.wait(timeout=WITHIN_S)
    finally:
        server.kill()
    mount.rmdir()
