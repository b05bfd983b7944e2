"""A request that the store turns down: the HTTP status and the words for it.

Owns nothing else. Which status means what to a station is written in README.md.
"""

from dockd.errors import DockdError

CHECKSUM_MISMATCH = 460
"""Source: tus 1.0.0, Checksum extension; used here for the whole file's digest."""


class RefusedError(DockdError):
    """A request ends here. `retry_after_s` asks the client to wait."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        """Keep the status for machines and the message for people."""
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
