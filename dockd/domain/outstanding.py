"""Which of the receipts that are here were not met in the store's list yet, for millions of clips at once.

Owns one bit for each clip there is. Knows neither list nor ledger.
"""

from collections.abc import Iterator, Sequence

from dockd.domain.model import ClipKey

BITS = 8


class Outstanding:
    """Clips whose receipts are here and were not met in the store's list yet: one bit for each clip there is."""

    def __init__(self) -> None:
        """Begin with none."""
        self._bits = bytearray()

    def add(self, keys: Sequence[ClipKey]) -> None:
        """Expect these."""
        for key in keys:
            place, bit = divmod(key, BITS)
            if place >= len(self._bits):
                self._bits.extend(bytes(place + 1 - len(self._bits)))
            self._bits[place] |= 1 << bit

    def met(self, keys: Sequence[ClipKey]) -> None:
        """Strike these off."""
        for key in keys:
            place, bit = divmod(key, BITS)
            if place < len(self._bits):
                self._bits[place] &= ~(1 << bit)

    def left(self) -> Iterator[ClipKey]:
        """Give what was not met, in order."""
        for place, bits in enumerate(self._bits):
            for bit in range(BITS if bits else 0):
                if bits >> bit & 1:
                    yield ClipKey(place * BITS + bit)
