"""The meter of a simulated device: it knows every joule that was prescribed."""

from __future__ import annotations

import os

from .. import simulation
from . import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Joules

NOT_MEASURED = {"device": ["modelled", "the device is simulated: its power is prescribed"]}


def open_meter() -> _Meter:
    if simulation.STATE not in os.environ:
        raise Unavailable("only a simulated device has it")
    return _Meter()


class _Meter:
    instrument = {"sampling": "counter", "period_s": 0.0}

    def read(self) -> float:
        return simulation.state().joules

    def joules(self, before: float, after: float) -> Joules:
        return {"device": after - before}

    def u_joules(self, before: float, after: float) -> Joules:
        return {"device": 0.0}
