"""Simulated twins of the hardware: cameras that are folders, bays, batteries, a shift."""
