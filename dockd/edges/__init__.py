"""Adapters: each module keeps one library or one part of the system behind one port."""
