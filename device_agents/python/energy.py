"""Energy windows, seen by every meter of the device at once: idle, each artifact inferring, idle, ...

─ idle ─┐             ┌──┐             ┌─ idle ─┐             ┌ ...
        └ A inferring ┘  └ B inferring ┘        └ B inferring ┘
round 0 ────────────────────────────────> round 1 ───────────────> ... one idle window more at the end

Each window is energy_window_s long (>= 10 s: meters lag and are coarse) and begins at another phase of the meters. An
idle window stands before and after every round: its power is taken off for net energy, and its drift is seen. Rounds
go on until the joules of an inference are as well known as the plan asks, or energy_windows_max of them are over. A
meter that the host reads sees the same windows: it gets their instants on this device's clock.
"""

import contextlib
import importlib
import os
import pkgutil
import random

from . import meters, series
from .device import MACHINE
from .meters import Unavailable, codecarbon
from .watch import Blind

NOT_ASKED = "not asked for; deploy --energy"
# Of a window; of one of ten seconds, longer than the period of any meter.
REST = 0.1


class NoHost:
    """No meter of the host looks on."""

    watches = False

    def has_enough(self):
        return True


NO_HOST = NoHost()


def measure_energy(subjects, plan, journal, survives, device=MACHINE, host=NO_HOST):
    """Windows for every artifact, with all meters that can be read; of the others the reason is journalled.

    host: `watches` if a meter there needs the windows; has_enough() when it knows them well enough.
    """
    if plan.get("carbon"):
        os.environ[codecarbon.ASKED] = plan["carbon"]
    with contextlib.closing(Bench(journal)) as bench:
        for name, module in _meters_of(device):
            bench.open(name, module, bool(plan["energy_windows"]))
        if not plan["energy_windows"] or not subjects or not (bench.is_used or host.watches):
            return
        with device.watch() if plan["sampling"] else Blind() as watch:
            measure_windows(subjects, plan, journal, survives, device, host, bench, watch)


def measure_windows(subjects, plan, journal, survives, device, host, bench, watch):
    """Rounds of windows until the joules are known, or there are enough of them."""
    order = random.Random(plan["seed"])
    seen = Seen()
    number = 0
    while True:
        rest(order, plan, device)
        idle_window(number, plan, journal, bench, device, watch)
        alive = [subject for subject in subjects if subject.worker is not None]
        known = seen.enough(number, {subject.index for subject in alive}, plan) and host.has_enough()
        if known or not alive or number == plan["energy_windows_max"]:
            return
        for subject in order.sample(alive, len(alive)):
            rest(order, plan, device)
            survives(subject, journal, energy_window, subject, number, plan, journal, bench, device, seen, watch)
        number += 1


def rest(order, plan, device):
    """So that beside every edge of a window the device is idle for longer than any meter's period, and that the
    meters are in another phase each time.
    """
    device.sleep(REST * plan["energy_window_s"] * (1 + order.random()))


def _meters_of(device):
    known = sorted(one.name for one in pkgutil.iter_modules(meters.__path__) if not one.name.startswith("_"))
    return [(name, importlib.import_module(meters.__name__ + "." + name)) for name in known if device.has_meter(name)]


def idle_window(number, plan, journal, bench, device, watch):
    """The device at rest, with everything loaded and the meters running."""
    start_s = device.now_s()
    before = bench.read()
    device.sleep(plan["energy_window_s"])
    seen = bench.since(before)
    duration_s = device.now_s() - start_s
    # Not its clock: at rest the governor lets it sink.
    told = conditions(watch, device, "throttled", "temperature_c")
    journal.write("idle", round=number, start_ns=int(start_s * 1e9), duration_s=duration_s, **told, **seen)


def energy_window(subject, number, plan, journal, bench, device, seen, watch):
    """One artifact inferring; its worker says from when to when."""
    window_s = plan["energy_window_s"]
    before = bench.read()
    watch.begin()
    ran = subject.worker.ask("run_for", window_s + plan["worker_timeout_s"], seconds=window_s)
    found = bench.since(before)
    seen.add(subject.index, ran["inferences"], **found)
    journal.write(
        "energy",
        artifact=subject.index,
        round=number,
        start_ns=ran["start_ns"],
        duration_s=ran["duration_ns"] / 1e9,
        inferences=ran["inferences"],
        **conditions(watch, device, "throttled", "temperature_c", "clock_hz"),
        **found,
    )


def conditions(watch, device, *names):
    """How the device did since the window before this one, throttle bits also of right now; None where it is silent."""
    seen, now = watch.take(), device.throttled()
    bits = now if seen["throttled"] is None else seen["throttled"] | (now or 0)
    return {name: {**seen, "throttled": bits}[name] for name in names}


class Bench:
    """The meters of one energy pass. One that fails says so in the journal and is read no more."""

    def __init__(self, journal):
        self._journal = journal
        self._meters = {}

    @property
    def is_used(self):
        return bool(self._meters)

    def open(self, name, module, asked):
        """Raises nothing: why a meter is not read goes into the journal."""
        try:
            meter = module.open_meter()
            if not asked:
                raise Unavailable(NOT_ASKED)
            first = meter.read()
            scopes = sorted(meter.joules(first, first))
        except Unavailable as error:
            self._journal.write("meter", meter=name, reason=str(error))
            return
        self._meters[name] = meter
        told = {scope: module.OTHERS.get(scope, ["measured", ""]) for scope in scopes}
        note = getattr(meter, "note", "")
        self._journal.write("meter", meter=name, scopes=told, instrument=meter.instrument, note=note)

    def read(self):
        """{meter: reading}"""
        return {name: reading for name, reading in self._each(lambda name, meter: meter.read())}

    def since(self, before):
        """{"joules": {meter: {scope: J}}, "u_j": the same of standard uncertainties} of one window."""

        def window(name, meter):
            after = meter.read()
            return meter.joules(before[name], after), meter.u_joules(before[name], after)

        found = list(self._each(window))
        return {
            "joules": {name: joules for name, (joules, _) in found},
            "u_j": {name: u_joules for name, (_, u_joules) in found},
        }

    def _each(self, question):
        for name, meter in list(self._meters.items()):
            try:
                yield name, question(name, meter)
            except Unavailable as error:  # the windows before this one are whole
                self._journal.write("meter", meter=name, reason=str(error))
                self._meters.pop(name)
                _close(meter)

    def close(self):
        for meter in self._meters.values():
            _close(meter)


def _close(meter):
    getattr(meter, "close", lambda: None)()


class Seen:
    """Joules of an inference so far, of each artifact by each meter: of the scope that draws most."""

    def __init__(self):
        self._seen = {}

    def add(self, artifact, inferences, joules, u_j):
        for meter, scopes in joules.items():
            most = max(scopes, key=scopes.get)
            values, left = self._seen.setdefault((artifact, meter), ([], []))
            values.append(scopes[most] / inferences)
            left.append(u_j[meter][most] / inferences)

    def enough(self, rounds, artifacts, plan):
        if rounds < plan["energy_windows"]:
            return False
        kept = [values for (artifact, _), values in self._seen.items() if artifact in artifacts]
        return all(series.is_mean_precise(values, left, plan["energy_precision"]) for values, left in kept)
