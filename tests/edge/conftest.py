"""Fixtures that several modules of this folder ask for: they come from the modules that own their parts."""

from tests.both_ledgers import ledger
from tests.control_parts import station
from tests.wire_parts import clip

__all__ = ["clip", "ledger", "station"]
