"""Cameras in USB ports, as udev announces them (pyudev)."""

from dockd.edges.udev.feed import UdevFeed

__all__ = ["UdevFeed"]
