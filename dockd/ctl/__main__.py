"""`python -m dockd.ctl`."""

import sys

from dockd.ctl.command import main

if __name__ == "__main__":
    sys.exit(main())
