"""The local socket: what a station tells the people on its machine, and how they ask.

Imports nothing here: `dockctl` must start fast, and needs the client only.
"""
