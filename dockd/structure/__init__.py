"""Whether the filesystem of a card holds together: chains, cross-links, sizes, names (I7). Pure reads of its blocks.

Stands below everything, as the copier, which runs apart from dockd, is who uses it. Writes nothing, repairs nothing.
"""

from dockd.structure.check import check
from dockd.structure.verdict import Filesystem, Found, Problem, ProblemKind, Read, Structure

__all__ = ["Filesystem", "Found", "Problem", "ProblemKind", "Read", "Structure", "check"]
