"""Image and snapshot, made before any test waits for them, and what they took: `python -m tests.vm.prepare`."""

import os
import platform
import sys
import time

from tests.vm import qemu
from tests.vm.warm import bench
from tests.vm.wire import GoneError


def main() -> None:
    """Make them, or find that they are there; what keeps this machine from it is said in words, and ends with 1."""
    machine = platform.machine()
    if machine != "x86_64":
        sys.exit(f"vm: this machine is {machine}: expected x86_64, as the guest's kernel is")
    if os.geteuid() != 0:
        sys.exit(f"vm: you are user {os.geteuid()}: expected root, who alone can make the guest's image")
    try:
        _make()
    except (LookupError, RuntimeError, GoneError, TimeoutError) as error:
        sys.exit(f"vm: {error}")


def _make() -> None:
    by = "this processor (KVM)" if qemu.by_hardware() else "software: there is no KVM of use here"
    sys.stderr.write(f"vm: the guest runs on {by}\n")
    began_s = time.monotonic()
    with bench() as made:
        sizes = {
            path.name: path.stat().st_size >> 20 for folder in (made.image, made.snapshot) for path in folder.iterdir()
        }
        parts = ", ".join(f"{name} {size} MiB" for name, size in sorted(sizes.items()) if size)
        took_s = time.monotonic() - began_s
        sys.stderr.write(f"vm: ready after {took_s:.0f} s; {parts}; its cold start took {made.cold_s:.0f} s\n")


if __name__ == "__main__":
    main()
