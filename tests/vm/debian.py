"""What of Debian is in the guest, and where this machine gets Debian from.

Owns the list of packages and what of them is left out. Names no host: the sources are those of this machine's apt.
"""

import subprocess
from pathlib import Path

SUITE = "bookworm"

PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "linux-image-amd64", "busybox-static", "qemu-guest-agent"),
    *("python3", "dosfstools", "exfatprogs", "e2fsprogs", "fdisk", "mount", "usbutils", "dmsetup", "gpiod"),
    *("iproute2", "procps", "psmisc", "strace", "curl", "sqlite3", "libcap2-bin"),
)

_MODULES = (
    *("drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/net/ethernet", "drivers/infiniband"),
    *("drivers/isdn", "drivers/staging", "drivers/iio", "drivers/video", "drivers/edac", "drivers/atm", "drivers/mtd"),
    *("drivers/accel", "drivers/bluetooth", "drivers/scsi/lpfc", "drivers/scsi/qla2xxx", "drivers/scsi/qla4xxx"),
    *("drivers/scsi/mpt3sas", "drivers/scsi/bfa", "drivers/scsi/aic7xxx", "sound", "net/mac80211", "net/bluetooth"),
    *("net/wireless", "fs/ocfs2", "fs/xfs", "fs/btrfs", "fs/gfs2", "fs/ceph", "fs/nfsd"),
)

LEFT_OUT = (
    *(f"/lib/modules/*/kernel/{folder}/*" for folder in _MODULES),
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/boot/System.map*"),
)
"""Paths that dpkg does not unpack: no test of ours meets them."""


def sources() -> list[str]:
    """Give the lines of sources.list for the suite, as this machine's apt has them.

    Raises:
        LookupError: this machine's apt knows no Debian of that suite.
    """
    if not any(Path("/var/lib/apt/lists").glob("*Packages*")):
        subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
    wanted = ("Created-By: Packages", "Origin: Debian")
    asked = ["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)", *wanted]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    suites = {SUITE, f"{SUITE}-updates", f"{SUITE}-security"}
    found = sorted({line for line in lines if line.split()[2] in suites})
    if not found:
        raise LookupError(
            f"apt's sources on this machine: expected Debian {SUITE} among them, found {len(lines)} others"
        )
    return found


def settings() -> list[str]:
    """Give what this machine's apt is told about fetching, such as a proxy."""
    lines = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if line.startswith(("Acquire::http", "Acquire::Check-", "Acquire::Retries"))]
