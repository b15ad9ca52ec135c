"""Joules: meters on this machine, energy per inference, and the carbon that follows from it."""
