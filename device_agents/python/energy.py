"""Energy windows, seen by every meter of the device at once: idle, each artifact inferring, idle, ...

─ idle ─┐             ┌──┐             ┌─ idle ─┐             ┌ ...
        └ A inferring ┘  └ B inferring ┘        └ B inferring ┘
round 0 ────────────────────────────────> round 1 ───────────────> ... one idle window more at the end

Each window is energy_window_s long or a little more (>= 10 s: meters lag and are coarse), and begins at another phase
of the meters: windows of one length could all meet a load that repeats at the same moment. An idle window stands before
and after every round: its power is taken off for net energy, and its drift is seen. Rounds go on until the net joules
of an inference are as well known as the plan asks, or energy_windows_max of them are over. A meter that the host reads
sees the same windows: it gets their instants on this device's clock.
"""

import contextlib
import importlib
import math
import pkgutil
import random

from . import edges, meters, series
from .device import MACHINE
from .meters import Unavailable
from .watch import NoWatch

NOT_ASKED = "not asked for; deploy --energy"
# Of a window; of one of ten seconds, longer than a meter's period and what it lags by.
REST = 0.15
# By so much of its length at most a window is longer than asked for.
LONGER = 0.1
# Net joules that are a smaller share of the gross ones cannot be known to a few percent: the gross ones decide.
NET_SHARE = 0.02


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
    with contextlib.closing(Bench(journal, device.phone, plan.get("carbon") or "")) as bench:
        for name, module in _meters_of(device):
            bench.open(name, module, bool(plan["energy_windows"]))
        if not plan["energy_windows"] or not subjects or not (bench.is_used or host.watches):
            return
        with device.watch() if plan["sampling"] else NoWatch() as watch:
            measure_windows(subjects, plan, journal, survives, device, host, bench, watch)


def measure_windows(subjects, plan, journal, survives, device, host, bench, watch):
    """Rounds of windows until the joules are known, or there are enough of them."""
    order = random.Random(plan["seed"])
    seen = Seen()
    number = 0
    while True:
        rest(order, plan, device)
        idle_window(number, length_s(order, plan), journal, bench, device, watch, seen)
        alive = [subject for subject in subjects if subject.worker is not None]
        known = seen.enough(number, {subject.index for subject in alive}, plan) and host.has_enough()
        if known or not alive or number == plan["energy_windows_max"]:
            return
        for subject in order.sample(alive, len(alive)):
            rest(order, plan, device)
            window_s = length_s(order, plan)
            survives(
                subject, journal, energy_window, subject, number, window_s, plan, journal, bench, device, seen, watch
            )
        number += 1


def rest(order, plan, device):
    """So that beside every edge of a window the device is idle for longer than any meter's period, and that the
    meters are in another phase each time.
    """
    device.sleep(REST * plan["energy_window_s"] * (1 + order.random()))


def length_s(order, plan):
    return plan["energy_window_s"] * (1 + LONGER * order.random())


def _meters_of(device):
    known = sorted(one.name for one in pkgutil.iter_modules(meters.__path__) if not one.name.startswith("_"))
    return [(name, importlib.import_module(meters.__name__ + "." + name)) for name in known if device.has_meter(name)]


def idle_window(number, window_s, journal, bench, device, watch, seen):
    """The device at rest, with everything loaded and the meters running."""
    start_s = device.now_s()
    before = bench.read()
    device.sleep(window_s)
    found = bench.since(before)
    bench.rested = before
    duration_s = device.now_s() - start_s
    for meter, scopes in found["joules"].items():
        u_j = found["u_j"][meter]
        for scope, joules in scopes.items():
            u_j[scope] = edges.rest_u_j(bench.meter(meter), u_j[scope], joules, duration_s)
    seen.rested(number, duration_s, **found)
    # Not its clock: at rest the governor lets it sink.
    told = conditions(watch, device, "throttled", "temperature_c")
    journal.write("idle", round=number, start_ns=int(start_s * 1e9), duration_s=duration_s, **told, **found)


def energy_window(subject, number, window_s, plan, journal, bench, device, seen, watch):
    """One artifact inferring; its worker says from when to when."""
    before, begun_s = bench.read(), device.now_s()
    watch.begin()
    ran = subject.worker.ask("run_for", window_s + plan["worker_timeout_s"], seconds=window_s)
    ended_s, found = device.now_s(), bench.since(before, has_worked=True)
    duration_s = ran["duration_ns"] / 1e9
    beside_s = max(0.0, ended_s - begun_s - duration_s)
    found["u_common_j"], in_step = {}, set()
    span_s = ran["start_ns"] / 1e9, ran["start_ns"] / 1e9 + duration_s
    for meter, scopes in found["joules"].items():
        u_j, common_j = found["u_j"][meter], {}
        for scope in scopes:
            ruled = edges.window_j(
                bench.meter(meter), scope, scopes[scope], u_j[scope], span_s, ran["inferences"], beside_s,
                seen.rest_w(meter, scope, number),
            )  # fmt: skip
            scopes[scope], u_j[scope], common_j[scope], is_in_step = ruled
            in_step |= {meter} if is_in_step else set()
        found["u_common_j"][meter] = common_j
    seen.add(subject.index, number, duration_s, ran["inferences"], **found)
    journal.write(
        "energy",
        artifact=subject.index,
        round=number,
        start_ns=ran["start_ns"],
        duration_s=duration_s,
        inferences=ran["inferences"],
        in_step=sorted(in_step),
        **conditions(watch, device, "throttled", "temperature_c", "clock_hz"),
        **found,
    )


def conditions(watch, device, *names):
    """How the device did since the window before this one, throttle bits also of right now; None where it is silent."""
    seen, now = watch.take(), device.throttled()
    bits = now if seen["throttled"] is None else seen["throttled"] | (now or 0)
    return {name: {**seen, "throttled": bits}[name] for name in names}


class Bench:
    """The meters of one energy pass. One that fails says so in the journal and is read no more.

    rested: their readings when the last idle window began.
    """

    def __init__(self, journal, phone, country):
        self._journal = journal
        self._phone = phone
        self._country = country
        self._meters = {}
        self.rested = {}

    @property
    def is_used(self):
        return bool(self._meters)

    def open(self, name, module, asked):
        """Raises nothing: why a meter is not read goes into the journal."""
        try:
            meter = meters.open_meter(module, self._phone, self._country)
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

    def since(self, before, has_worked=False):
        """{"joules": {meter: {scope: J}}, "u_j": the same of standard uncertainties} of one window.

        has_worked: the device did; a meter whose values are the same to the digit since it rested stands still.
        """

        def window(name, meter):
            after = meter.read()
            if has_worked and name in self.rested:
                getattr(meter, "check_moving", _trusted)(self.rested[name], after)
            return meter.joules(before[name], after), meter.u_joules(before[name], after)

        found = list(self._each(window))
        return {
            "joules": {name: joules for name, (joules, _) in found},
            "u_j": {name: u_joules for name, (_, u_joules) in found},
        }

    def meter(self, name):
        """One that can be read."""
        return self._meters[name]

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


def _trusted(before, after):
    """Of a meter that knows no way to tell."""


def _close(meter):
    getattr(meter, "close", lambda: None)()


class Seen:
    """Windows so far, of each artifact by each meter: of the scope that draws most. What decides is what will be shown:
    the joules of an inference without idle power.
    """

    def __init__(self):
        self._rests = {}
        self._windows = {}

    def rested(self, number, duration_s, joules, u_j):
        for meter, scopes in joules.items():
            for scope, idle_j in scopes.items():
                self._rests[meter, scope, number] = idle_j / duration_s, u_j[meter][scope] / duration_s

    def rest_w(self, meter, scope, number):
        """Before this round. A scope that is missing there draws nothing at rest."""
        return self._rests.get((meter, scope, number), (0.0, 0.0))[0]

    def add(self, artifact, number, duration_s, inferences, joules, u_j, u_common_j):
        """u_common_j is not looked at: more windows do not lower it."""
        for meter, scopes in joules.items():
            most = max(scopes, key=scopes.get)
            window = number, most, duration_s, inferences, scopes[most], u_j[meter][most]
            self._windows.setdefault((artifact, meter), []).append(window)

    def enough(self, rounds, artifacts, plan):
        if rounds < plan["energy_windows"]:
            return False
        kept = [self._values(meter, windows) for (one, meter), windows in self._windows.items() if one in artifacts]
        return all(series.is_mean_precise(values, left, plan["energy_precision"]) for values, left in kept)

    def _values(self, meter, windows):
        """(joules of an inference, what reading leaves open in each)."""
        net, gross = [], []
        for number, scope, duration_s, inferences, joules, u_j in windows:
            beside = [self._rests.get((meter, scope, at)) for at in (number, number + 1)]
            known = [rest for rest in beside if rest]
            idle_w = sum(watts for watts, _ in known) / len(known) if known else 0.0
            u_idle_w = math.sqrt(sum(u_w * u_w for _, u_w in known)) / len(known) if known else 0.0
            left_j = math.hypot(u_j, u_idle_w * duration_s)
            net.append(((joules - idle_w * duration_s) / inferences, left_j / inferences))
            gross.append((joules / inferences, u_j / inferences))
        is_lost = abs(sum(value for value, _ in net)) < NET_SHARE * abs(sum(value for value, _ in gross))
        return zip(*(gross if is_lost else net))
