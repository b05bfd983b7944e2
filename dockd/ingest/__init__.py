"""`dockd ingest PATH --to URL`: one card or folder, by the same road as a docked camera. See README.md."""

from dockd.ingest.arguments import add_arguments
from dockd.ingest.command import run
from dockd.ingest.telling import Summary

__all__ = ["Summary", "add_arguments", "run"]
