"""What of Debian is in the guest, and where this machine gets Debian from.

Owns the list of packages and what of them is left out. Names no host: the sources are those of this machine's apt.
"""

import re
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


_SIGNED_BY = re.compile(r"\bsigned-by\s*[:=]\s*\"?((?:/[^\s,\"\]]+[, \t]*)+)", re.IGNORECASE)


def sources(etc: Path = Path("/etc/apt")) -> list[str]:
    """Give the lines of sources.list for the suite, as this machine's apt has them.

    Raises:
        LookupError: this machine's apt knows no Debian of that suite.
    """
    said = ""
    if not any(Path("/var/lib/apt/lists").glob("*Packages*")):
        said = subprocess.run(["apt-get", "-q", "update"], check=False, capture_output=True, text=True).stderr
    keys = ",".join(keyrings(etc))
    form = f"deb {f'[signed-by={keys}] ' if keys else ''}$(REPO_URI) $(RELEASE) $(COMPONENT)"
    asked = ["apt-get", "indextargets", "--format", f"$(RELEASE)\t{form}", "Created-By: Packages", "Origin: Debian"]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    suites = {SUITE, f"{SUITE}-updates", f"{SUITE}-security"}
    found = sorted({line for suite, _, line in (each.partition("\t") for each in lines) if suite in suites})
    if not found:
        known = " ".join(sorted({line.partition("\t")[0] for line in lines})) or "none of Debian's"
        raise LookupError(f"apt's sources on this machine: expected Debian {SUITE}, found {known}. {said}".rstrip())
    return found


def keyrings(etc: Path) -> list[str]:
    """Give the files of keys that this machine's apt believes; none where no source names any: then mmdebstrap knows.

    Which source may be signed by which key is not kept apart.
    """
    files = [etc / "sources.list", *etc.glob("sources.list.d/*.list"), *etc.glob("sources.list.d/*.sources")]
    texts = [re.sub(r"(?m)^\s*#.*$", "", file.read_text()) for file in files if file.exists()]
    named = {
        path for text in texts for group in _SIGNED_BY.findall(text) for path in re.split(r"[,\s]+", group) if path
    }
    trusted = {str(path) for pattern in ("*.gpg", "*.asc") for path in etc.glob(f"trusted.gpg.d/{pattern}")}
    return sorted(named | trusted) if named else []


def settings() -> list[str]:
    """Give what this machine's apt is told about fetching, such as a proxy."""
    lines = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if line.startswith(("Acquire::http", "Acquire::Check-", "Acquire::Retries"))]
