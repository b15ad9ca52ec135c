"""The meter of a simulated device: it knows every joule that was prescribed."""

import os

from .. import simulation
from . import Unavailable

PROVENANCE = "modelled"


def open_meter():
    if simulation.STATE not in os.environ:
        raise Unavailable("only a simulated device has it")
    return _Meter()


class _Meter:
    def read(self):
        return simulation.state().joules

    def joules(self, before, after):
        return {"device": after - before}
