"""The copier's start: `python -I -S -E -B -X utf8 dockd/copier/__main__.py CARD_FD SPOOL_FD [DEVICE_FD]`.

Owns where the package is found and the loop over commands. Runs by its path: isolated, Python knows no other place.
"""

import signal
import sys

# Last, so that nothing that lies beside dockd can stand in for a part of the standard library.
sys.path.append(__file__.removesuffix("/dockd/copier/__main__.py"))

from dockd.copier.card import Card
from dockd.copier.commands import Copier
from dockd.copier.device import Device
from dockd.copier.pipe import CommandError, Pipe
from dockd.copier.spool import Spool


def main(*, card: int, spool: int, device: int | None) -> None:
    """Answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; when to stop is the parent's to say
    pipe = Pipe(commands=0, answers=1)
    lies_in = Device(device, pipe=pipe) if device is not None else None
    copier = Copier(card=Card(card, device=lies_in), spool=Spool(spool), pipe=pipe, device=lies_in)
    while (command := pipe.command()) is not None:
        try:
            pipe.tell({"done": copier.perform(command)})
        except CommandError as error:
            pipe.tell({"error": error.code, "say": str(error)})


if __name__ == "__main__":
    card, spool, *device = map(int, sys.argv[1:])
    main(card=card, spool=spool, device=device[0] if device else None)
