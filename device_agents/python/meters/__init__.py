"""Meters that the device itself reads. One file per meter.

open_meter()     -> a meter; raises Unavailable with the reason and the cure. Starts nothing: `probe` opens all of them
TAKES            names of what open_meter takes by keyword, of those that open_meter() below knows; may be absent
meter.read()     a reading, in whatever form the meter has
meter.joules(before, after)   {scope: joules between two readings}; both raise Unavailable for a reading that is none
meter.u_joules(before, after) {scope: standard uncertainty of these joules that the way of reading leaves}
meter.age_s      so old a reading may be, beyond what u_joules covers (edges.py); may be absent: it is of the instant
meter.instrument {"sampling": "counter" | "average" | "point", "period_s": between new values}, and what is known of
                 "device_id", "version", "firmware", "latency_s",
                 "accuracy": {"gain": fraction, "offset_w": W, "source": of these limits}
meter.close()    for those that run a thread (_sampler.py) or hold files; may be absent
meter.note       what a reader should know of a meter that works; may be absent
OTHERS           {scope: ["estimated" | "modelled", why]} of scopes whose joules no sensor says; all others are measured
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
    """Why this meter cannot be read here; the text is a reason and, where there is one, the cure."""


def probe(has_meter: Callable[[str], bool], phone: AndroidShell | None = None) -> dict[str, dict[str, Any]]:
    """{meter: {"available", "note"}} of all meters that a device can have: a note says why not, and the cure.

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
    """Of two reads of a counter, each of a whole number of steps."""
    return step_j / math.sqrt(6)
