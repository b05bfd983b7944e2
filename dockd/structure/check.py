"""The check of a card: which filesystem it is, the walk over it, and the verdict.

Source: Microsoft, exFAT file system specification, section 3.1.2 (FileSystemName); FAT 1.03, "Boot Sector and BPB".
"""

from dockd.structure.blocks import Blocks
from dockd.structure.exfat import ExfatVolume
from dockd.structure.fat import FatVolume
from dockd.structure.tree import Volume, Walk
from dockd.structure.verdict import Findings, Found, ProblemKind, Read, StopCheckError, Structure

EXFAT_NAME = b"EXFAT   "


def check(read: Read, *, size_bytes: int, found: Found) -> Structure:
    """Check a filesystem of so many bytes; `found` is told each file as it is met.

    Raises nothing but what `read` raises. Reads, time and memory are bounded whatever the card holds.
    """
    findings = Findings()
    volume: Volume | None = None
    try:
        volume = _volume(Blocks(read, size_bytes=size_bytes, findings=findings), findings=findings)
        if volume.geometry.dirty:
            findings.note(ProblemKind.DIRTY, b"", "it was not put away well")
        Walk(volume, findings=findings, found=found).run()
    except StopCheckError:
        pass  # what there is to say stands in the findings
    return Structure(
        geometry=volume.geometry if volume else None,
        folders=findings.folders,
        files=findings.files,
        bytes_=findings.bytes_,
        valid_bytes=findings.valid_bytes,
        used_clusters=volume.chains.used.count(1) if volume else 0,
        behind=frozenset(findings.behind),
        problems=tuple(findings.problems),
        notes=tuple(findings.notes.values()),
    )


def _volume(blocks: Blocks, *, findings: Findings) -> Volume:
    boot = blocks.take(0, 512)
    if boot[3:11] == EXFAT_NAME:
        return ExfatVolume(blocks, findings=findings)
    return FatVolume(blocks, findings=findings)
