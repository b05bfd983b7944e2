"""`dockd` as it is, but that gives a silent line up after two seconds: for tests that cannot wait a minute each time.

python -m tests.system.impatient ingest CARD --to URL ...
"""

import sys
from functools import partial

import dockd.ingest.arguments
from dockd import cli
from dockd.edges.tus_http import WireOptions

SILENT_S = 2.0

if __name__ == "__main__":
    hasty = partial(WireOptions, connect_timeout_s=SILENT_S, stall_timeout_s=SILENT_S)
    vars(dockd.ingest.arguments)["WireOptions"] = hasty
    sys.exit(cli.main())
