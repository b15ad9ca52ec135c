"""Energy windows, seen by every meter of the device at once: idle, each artifact inferring, idle, ...

─ idle ─┐             ┌──┐             ┌─ idle ─┐             ┌ ...
        └ A inferring ┘  └ B inferring ┘        └ B inferring ┘
round 0 ────────────────────────────────> round 1 ───────────────> ... one idle window more at the end

Each window is energy_window_s long or a little more (>= 10 s: meters lag and are coarse), and begins at another phase
of the meters: windows of one length could all meet a repeating load at the same moment. An idle window stands before
and after every round: its power is subtracted for net energy, and its drift is seen. Rounds go on until the net joules
of an inference are as well known as the plan asks, or energy_windows_max of them are over. A meter that the host reads
sees the same windows: it gets their instants on this device's clock.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import random

from . import edges, meters
from .device import MACHINE
from .energy_precision import WindowsSoFar
from .meters import Unavailable
from .watch import NoWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType
    from typing import Any, Protocol, TypeVar

    from .android import AndroidShell
    from .artifact_run import ArtifactRun
    from .device import Device
    from .journal import Notebook
    from .meters import Meter
    from .watch import RoundWatch

    Plan = Mapping[str, Any]
    # {meter: {scope: what it adds to a window of a record}}
    Readings = dict[str, dict[str, dict[str, Any]]]
    _T = TypeVar("_T")

    class WindowsWanted(Protocol):
        """watches: whether a meter of the host needs windows; has_enough() when it knows the energy well enough."""

        @property
        def watches(self) -> bool: ...
        def has_enough(self) -> bool: ...


NOT_ASKED = "not asked for; deploy --energy"
# Rest before a window, as a share of its length; of one of ten seconds, longer than a meter's period and its lag.
REST = 0.15
# A window is longer than asked for by at most this share.
LONGER = 0.1


class NoHost:
    """No meter of the host looks on."""

    watches = False

    def has_enough(self) -> bool:
        return True


NO_HOST = NoHost()


def measure_energy(
    artifacts: Sequence[ArtifactRun],
    plan: Plan,
    journal: Notebook,
    survives: Callable[..., bool],
    device: Device = MACHINE,
    host: WindowsWanted = NO_HOST,
) -> None:
    """Windows for every artifact, with all meters that can be read; for the others the reason is journalled."""
    with contextlib.closing(OpenMeters(journal, device.phone, plan.get("carbon") or "")) as opened:
        for name, module in _meters_of(device):
            opened.open(name, module, bool(plan["energy_windows"]))
        if not plan["energy_windows"] or not artifacts or not (opened.is_used or host.watches):
            return
        with device.watch() if plan["sampling"] else NoWatch() as watch:
            EnergyPass(plan, journal, device, opened, watch).measure(artifacts, survives, host)


def _meters_of(device: Device) -> list[tuple[str, ModuleType]]:
    known = sorted(one.name for one in pkgutil.iter_modules(meters.__path__) if not one.name.startswith("_"))
    return [(name, importlib.import_module(meters.__name__ + "." + name)) for name in known if device.has_meter(name)]


class EnergyPass:
    """Rounds of windows until the joules are known, or there are enough windows."""

    def __init__(self, plan: Plan, journal: Notebook, device: Device, opened: OpenMeters, watch: RoundWatch) -> None:
        self._plan = plan
        self._journal = journal
        self._device = device
        self._meters = opened
        self._watch = watch
        self._order = random.Random(plan["seed"])
        self._so_far = WindowsSoFar()

    def measure(self, artifacts: Sequence[ArtifactRun], survives: Callable[..., bool], host: WindowsWanted) -> None:
        plan, number = self._plan, 0
        while True:
            self._rest()
            self.idle_window(number)
            alive = [one for one in artifacts if one.worker is not None]
            known = self._so_far.enough(number, {one.index for one in alive}, plan) and host.has_enough()
            if known or not alive or number == plan["energy_windows_max"]:
                return
            for artifact in self._order.sample(alive, len(alive)):
                self._rest()
                survives(artifact, self._journal, self.energy_window, artifact, number)
            number += 1

    def _rest(self) -> None:
        """So that beside every edge of a window the device is idle for longer than any meter's period, and that the
        meters are in another phase each time.
        """
        self._device.sleep(REST * self._plan["energy_window_s"] * (1 + self._order.random()))

    def _length_s(self) -> float:
        return float(self._plan["energy_window_s"] * (1 + LONGER * self._order.random()))

    def idle_window(self, number: int) -> None:
        """The device at rest, with everything loaded and the meters running."""
        window_s, start_s = self._length_s(), self._device.now_s()
        before = self._meters.read()
        self._device.sleep(window_s)
        readings = self._meters.since(before)
        self._meters.rested = before
        duration_s = self._device.now_s() - start_s
        for meter, scopes in readings.items():
            for seen in scopes.values():
                seen["u_j"] = edges.rest_u_j(self._meters.meter(meter), seen["u_j"], seen["energy_j"], duration_s)
        self._so_far.rested(number, duration_s, readings)
        window = {"round": number, "start_ns": int(start_s * 1e9), "duration_s": duration_s}
        # Not its clock: at rest the governor lets it sink.
        throttled, conditions = self._conditions("temperature_c")
        self._journal.write("idle", window={**window, **conditions}, throttled=throttled, readings=readings)

    def energy_window(self, artifact: ArtifactRun, number: int) -> None:
        """One artifact inferring; its worker says from when to when."""
        window_s = self._length_s()
        before, begun_s = self._meters.read(), self._device.now_s()
        self._watch.begin()
        timeout_s = window_s + self._plan["worker_timeout_s"]
        ran = artifact.running.ask("run_for", timeout_s, seconds=window_s)
        ended_s, readings = self._device.now_s(), self._meters.since(before, has_worked=True)
        inferences, start_ns, duration_s = ran["inferences"], ran["start_ns"], ran["duration_ns"] / 1e9
        beside_s = max(0.0, ended_s - begun_s - duration_s)
        span_s = start_ns / 1e9, start_ns / 1e9 + duration_s
        for meter, scopes in readings.items():
            is_in_step = False
            for scope, seen in scopes.items():
                rest_w = self._so_far.rest_w(meter, scope, number)
                seen["energy_j"], seen["u_j"], seen["u_common_j"], same_point = edges.window_j(
                    self._meters.meter(meter),
                    scope,
                    seen["energy_j"],
                    seen["u_j"],
                    span_s,
                    inferences,
                    beside_s,
                    rest_w,
                )
                is_in_step = is_in_step or same_point
            for seen in scopes.values() if is_in_step else ():
                seen["flags"] = ["aliasing"]
        self._so_far.add(artifact.index, number, duration_s, inferences, readings)
        window = {"round": number, "start_ns": start_ns, "duration_s": duration_s, "inferences": inferences}
        throttled, conditions = self._conditions("temperature_c", "clock_hz")
        self._journal.write(
            "energy",
            artifact=artifact.index,
            window={**window, **conditions},
            throttled=throttled,
            readings=readings,
        )

    def _conditions(self, *names: str) -> tuple[int | None, dict[str, Any]]:
        """(throttle bits since the window before this one and right now, how else the device did meanwhile); None for
        what it does not say.
        """
        seen, now = self._watch.take(), self._device.throttled()
        bits = now if seen["throttled"] is None else seen["throttled"] | (now or 0)
        return bits, {name: seen[name] for name in names}


class OpenMeters:
    """The meters of one energy pass. One that fails says so in the journal and is read no more.

    rested: their readings when the last idle window began.
    """

    def __init__(self, journal: Notebook, phone: AndroidShell | None, country: str) -> None:
        self._journal = journal
        self._phone = phone
        self._country = country
        self._meters: dict[str, Meter] = {}
        self.rested: dict[str, Any] = {}

    @property
    def is_used(self) -> bool:
        return bool(self._meters)

    def open(self, name: str, module: ModuleType, asked: bool) -> None:
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
        provenances = {scope: module.NOT_MEASURED.get(scope, ["measured", ""]) for scope in scopes}
        note = getattr(meter, "note", "")
        self._journal.write("meter", meter=name, scopes=provenances, instrument=meter.instrument, note=note)

    def read(self) -> dict[str, Any]:
        """{meter: reading}"""
        return dict(self._each(lambda name, meter: meter.read()))

    def since(self, before: Mapping[str, Any], has_worked: bool = False) -> Readings:
        """What each meter saw of one window, of which `before` are the readings at its start.

        has_worked: the device did; a meter whose values are the same to the digit since it rested stands still.
        """

        def window(name: str, meter: Meter) -> dict[str, dict[str, Any]]:
            after = meter.read()
            if has_worked and name in self.rested:
                getattr(meter, "check_moving", _trusted)(self.rested[name], after)
            joules, u_joules = meter.joules(before[name], after), meter.u_joules(before[name], after)
            return {scope: {"energy_j": joules[scope], "u_j": u_joules[scope]} for scope in joules}

        return dict(self._each(window))

    def meter(self, name: str) -> Meter:
        """One that can be read."""
        return self._meters[name]

    def _each(self, question: Callable[[str, Meter], _T]) -> Iterator[tuple[str, _T]]:
        for name, meter in list(self._meters.items()):
            try:
                yield name, question(name, meter)
            except Unavailable as error:  # the windows before this one are whole
                self._journal.write("meter", meter=name, reason=str(error))
                self._meters.pop(name)
                _close(meter)

    def close(self) -> None:
        for meter in self._meters.values():
            _close(meter)


def _trusted(before: Any, after: Any) -> None:
    """For a meter that has no way to tell."""


def _close(meter: Meter) -> None:
    getattr(meter, "close", lambda: None)()
