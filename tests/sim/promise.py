"""What a broken promise is: the one error that the simulation is there to find."""


class ViolationError(AssertionError):
    """A promise was broken."""


def require(holds: bool, message: str) -> None:  # noqa: FBT001 - reads as assert, and is never optimised away
    """Fail the run on a broken promise."""
    if not holds:
        raise ViolationError(message)
