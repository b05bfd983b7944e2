"""Image and snapshot, made before any test waits for them, and what they took: `python -m tests.vm.prepare`."""

import sys
import time

from tests.vm.warm import bench


def main() -> None:
    """Make them, or find that they are there."""
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
