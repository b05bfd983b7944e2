"""The exit codes of dockctl, and how it says them.

Owns the numbers (sysexits.h).
"""

EX_OK, EX_FAILED = 0, 1
EX_NOINPUT, EX_UNAVAILABLE, EX_IOERR, EX_NOPERM, EX_CONFIG = 66, 69, 74, 77, 78
EPILOG = (
    "exit codes: 0 fine, 1 something is held, stuck or broken, 2 usage, 66 no such clip or folder,"
    " 69 the daemon is down, 74 standard output takes no more, 77 not permitted, 78 unfit state folder"
)
