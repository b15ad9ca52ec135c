"""Meters that the device itself reads. One file per meter.

open_meter()     -> a meter; raises Unavailable with the reason
meter.read()     a reading, in whatever form the meter has
meter.joules(before, after)   {scope: joules between two readings}
PROVENANCE       "measured" | "estimated" | "modelled"
"""


class Unavailable(Exception):
    """Why this meter cannot be read here; the text is a reason and, where there is one, the cure."""
