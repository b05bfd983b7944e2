"""Wall times as text, for the record: RFC 3339 UTC with microseconds and 'Z', so that text order is time order."""

from datetime import UTC, datetime, timedelta


def utc_text(moment: datetime) -> str:
    """Write an aware moment in the one form that every record uses."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds_before(utc: str, seconds: float) -> str:
    """Give the moment `seconds` before one in the form of `utc_text`."""
    return utc_text(datetime.fromisoformat(utc) - timedelta(seconds=seconds))


def seconds_between(earlier_utc: str, later_utc: str) -> float:
    """Give the seconds from one moment to another in the form of `utc_text`; below 0 where it lies before."""
    return (datetime.fromisoformat(later_utc) - datetime.fromisoformat(earlier_utc)).total_seconds()
