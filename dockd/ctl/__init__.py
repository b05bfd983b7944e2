"""`dockctl`: what people type at a station, over its local socket or on a state folder at rest.

Owns the commands, their words and exit codes. Everything it says comes from the documents of `edges.control`.
"""

from dockd.ctl.command import main
from dockd.ctl.exits import EX_CONFIG, EX_FAILED, EX_IOERR, EX_NOINPUT, EX_NOPERM, EX_OK, EX_UNAVAILABLE

__all__ = ["EX_CONFIG", "EX_FAILED", "EX_IOERR", "EX_NOINPUT", "EX_NOPERM", "EX_OK", "EX_UNAVAILABLE", "main"]
