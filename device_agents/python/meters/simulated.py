"""The meter of a simulated device: it knows every joule that was prescribed."""

import os

from .. import simulation
from . import Unavailable

OTHERS = {"device": ["modelled", "the device is simulated: its power is prescribed"]}


def open_meter():
    if simulation.STATE not in os.environ:
        raise Unavailable("only a simulated device has it")
    return _Meter()


class _Meter:
    instrument = {"sampling": "counter", "period_s": 0.0}

    def read(self):
        return simulation.state().joules

    def joules(self, before, after):
        return {"device": after - before}

    def u_joules(self, before, after):
        return {"device": 0.0}
