"""Simulated twins of the hardware: cameras that are folders, bays, batteries, lamps, a shift of officers.

Owns everything around a station that is not the station, and the word of what was put on which camera. Whatever the
station does with it is real: real files, a real copier, a real ledger. Must not know the station's inside, any edge, or
the store but over HTTP.
"""
