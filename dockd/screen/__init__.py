"""The terminal: the live table of bays, the progress of an ingest, and the same news as plain lines.

Owns every word and picture that a view of a station becomes on a terminal, and rich. Must not know who asks, nor where
a view came from.
"""

from dockd.screen.changes import Changes
from dockd.screen.progress import IngestProgress
from dockd.screen.showing import Showing, showing
from dockd.screen.table import LiveBays, station_picture
from dockd.screen.words import show_bytes, show_name, show_text

__all__ = [
    "Changes",
    "IngestProgress",
    "LiveBays",
    "Showing",
    "show_bytes",
    "show_name",
    "show_text",
    "showing",
    "station_picture",
]
