"""Meters that the device itself reads. One file per meter.

open_meter()     -> a meter; raises Unavailable with reason and remedy. Starts nothing: `probe` opens all of them
TAKES            names of the keyword arguments that open_meter takes, out of those of open_meter() below; may be absent
meter.read()     a reading, in a form of the meter's own
meter.joules(before, after)   {scope: joules between two readings}; both raise Unavailable for an invalid reading
meter.u_joules(before, after) {scope: standard uncertainty of these joules due to the way of reading}
meter.age_s      how old a reading may be, beyond what u_joules covers (edges.py); absent if it is of the instant
meter.instrument {"sampling": "counter" | "average" | "point", "period_s": between new values}, and what is known of
                 "device_id", "version", "firmware", "latency_s",
                 "accuracy": {"gain": fraction, "offset_w": W, "source": of these limits}
meter.points(scope, start_s, end_s)    (instants, W) of a window; only of a meter whose sampling is "point"
meter.check_moving(before, after)      raises Unavailable if values never changed; may be absent
meter.close()    for meters that run a thread (_sampler.py) or hold files; may be absent
meter.note       what a reader should know about a working meter; may be absent
NOT_MEASURED     {scope: ["estimated" | "modelled", why]} of scopes that no sensor measures; all others are measured
"""

from __future__ import annotations

import importlib
import math
import pkgutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, Protocol

    from ..android import AndroidShell

    Joules = dict[str, float]

    class Meter(Protocol):
        """What every meter has; see above."""

        @property
        def instrument(self) -> dict[str, Any]: ...
        def read(self) -> Any: ...
        def joules(self, before: Any, after: Any) -> Joules: ...
        def u_joules(self, before: Any, after: Any) -> Joules: ...


class Unavailable(Exception):
    """Why this meter cannot be read here: the reason and, where there is one, the remedy."""


def probe(has_meter: Callable[[str], bool], phone: AndroidShell | None = None) -> dict[str, dict[str, Any]]:
    """{meter: {"available", "note"}} of all meters that a device can have; the note says why not, and the remedy.

    has_meter, phone: of the device (device.py).
    """
    known = sorted(one.name for one in pkgutil.iter_modules(__path__) if not one.name.startswith("_"))
    return {name: _look(name, phone) for name in known if has_meter(name)}


def _look(name: str, phone: AndroidShell | None) -> dict[str, Any]:
    try:
        meter = open_meter(importlib.import_module(__name__ + "." + name), phone)
    except Unavailable as reason:
        return {"available": False, "note": str(reason)}
    getattr(meter, "close", lambda: None)()
    return {"available": True, "note": getattr(meter, "note", "")}


def open_meter(module: ModuleType, phone: AndroidShell | None = None, country: str = "") -> Meter:
    """A plugin's meter, given what it takes. Raises Unavailable.

    phone: the Android phone that is measured, if it is one; country: whose grid a model of carbon is for, if one was
    asked for.
    """
    known = {"phone": phone, "country": country}
    meter: Meter = module.open_meter(**{name: known[name] for name in getattr(module, "TAKES", ())})
    return meter


def counter_u_j(step_j: float) -> float:
    """Standard uncertainty of the difference of two counter readings, each a whole number of steps."""
    return step_j / math.sqrt(6)
