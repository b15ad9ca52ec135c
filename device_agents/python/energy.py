"""Energy windows, read from the device's own meters: idle, inferring, idle, inferring, ...

idle ──────┐          ┌── idle ────┐          ┌── ...
           └ inferring ┘            └ inferring ┘
each window energy_window_s long (>= 10 s: meters lag and are coarse); gross is the inferring window,
net takes the idle power of the window before off.
"""

import importlib
import pkgutil

from . import meters
from .device import MACHINE
from .meters import Unavailable


def measure_energy(subjects, plan, journal, survives, device=MACHINE):
    """Windows for every artifact with every meter that can be read; for the others the reason is journalled."""
    for name in sorted(one.name for one in pkgutil.iter_modules(meters.__path__) if not one.name.startswith("_")):
        if not device.has_meter(name):
            continue
        module = importlib.import_module(meters.__name__ + "." + name)
        try:
            meter = module.open_meter()
        except Unavailable as error:
            journal.write("meter", meter=name, provenance="unavailable", reason=str(error))
            continue
        if not plan["energy_windows"]:
            journal.write("meter", meter=name, provenance="unavailable", reason="not asked for; deploy --energy")
            continue
        journal.write("meter", meter=name, provenance=module.PROVENANCE)
        try:
            for number in range(plan["energy_windows"]):
                for subject in subjects:
                    survives(subject, journal, energy_window, subject, number, plan, journal, name, meter, device)
        except Unavailable as error:  # the windows before this one are whole
            journal.write("meter", meter=name, provenance="unavailable", reason=str(error))
        finally:
            getattr(meter, "close", lambda: None)()


def energy_window(subject, number, plan, journal, meter_name, meter, device):
    window_s = plan["energy_window_s"]
    if subject.worker is None:
        return
    idle_start = device.now_s()
    before_idle = meter.read()
    device.sleep(window_s)
    before = meter.read()
    idle_s = device.now_s() - idle_start
    ran = subject.worker.ask("run_for", window_s + plan["worker_timeout_s"], seconds=window_s)
    after = meter.read()
    journal.write(
        "energy",
        artifact=subject.index,
        window=number,
        meter=meter_name,
        idle_s=idle_s,
        idle_j=meter.joules(before_idle, before),
        active_s=ran["duration_ns"] / 1e9,
        active_j=meter.joules(before, after),
        inferences=ran["inferences"],
    )
