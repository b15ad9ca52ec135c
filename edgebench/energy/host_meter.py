"""A meter on this machine that measures the energy windows of an agent on a device.

    device   ─ idle ─┐  inferring  ┌─ idle ─      windows, on the device's clock, come with the journal
    link     exchanges before, meanwhile, after   the device's clock on this one's, with a stated error
    here     · · · · · · · · · · · · · · · · ·    the meter's values, on this machine's clock

Any failure of the meter becomes a reason in the record, with the remedy, and the job is measured without it. If it
falls silent meanwhile, it is reopened, and the record says what it missed.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from edgebench.device.agent import Agent
from edgebench.device.job_store import StoredJob
from edgebench.device.journal import AnyLine, EnergyLine
from edgebench.energy import per_inference
from edgebench.energy.meters import Meter, _calibration, _clock, _naming
from edgebench.energy.meters._calibration import Calibration
from edgebench.energy.meters._clock import Alignment, Exchange
from edgebench.energy.meters._recorder import Recorder
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._windows import MeteredWindows
from edgebench.errors import LinkLost, UserError
from edgebench.progress import Progress
from edgebench.schema.energy_reading import EnergyReading, Instrument
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

EXCHANGES = 16
# How long to wait for the last value of a window.
PATIENCE_S = 3.0
# The name in a record if no meter is set.
NOBODY = "attached"
_CLOCK_FILE = "clock.jsonl"


class HostMeter:
    """The attached meter of one deployment. name: "" if none can be read; the reading then has the reason."""

    def __init__(self, target: Target, plan: Plan, calibrations: Path, progress: Progress) -> None:
        self._asked = _naming.parse(target.meter)[0] or NOBODY
        self._known: dict[str, Calibration] = {}
        if target.meter:  # a wrong name or calibration is an error at once
            _naming.check_volts(self._asked, target.meter_volts)
            self._known = _calibration.load(calibrations, self._asked)
        self.name = ""
        self._port = ""
        self._target = target
        self._plan = plan
        self._progress = progress
        self._reason = ""
        self._scope = ""
        self._recorder: Recorder | None = None
        self._job: StoredJob | None = None
        self._exchanges: list[list[Exchange]] = []
        self._windows_of: Counter[int] = Counter()
        self._said_enough = False

    def __enter__(self) -> HostMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorder:
            self._recorder.close()

    # ------------------------------------------------------------------ while the job runs

    def start(self, job: StoredJob, agent: Agent) -> None:
        """Open the meter and wait for its first value; the values of a killed `deploy` of this job are kept."""
        self._reason = self._why_not_asked()
        if self._reason:
            if self._target.meter and self._plan.energy_windows:
                self._give_up(self._reason)
            return
        try:
            meter = self._open()
        except UserError as error:
            self._give_up(f"{error.seen}. {error.remedy}")
            return
        self._job = job

        def calibration_of(unit: Meter) -> Calibration | None:
            return _calibration.of_unit(self._known, self._asked, self._port, unit)

        self._recorder = Recorder(meter, self._open, calibration_of, job.folder)
        problem = self._recorder.wait_for_a_value()
        if problem:
            self._give_up(problem)
            return
        self.name = self._asked
        self._exchanges = _kept_exchanges(job.folder)
        self.align(agent)

    def _why_not_asked(self) -> str:
        if self._target.has_page:
            return "a browser's windows are on a clock that this machine does not know precisely enough"
        if self._target.emulated:
            return "an emulated board has no supply of its own: it uses the energy of its host"
        if not self._target.meter:
            there = _naming.plugged_in()
            seen = f"; plugged in here: {', '.join(there)}" if there else ""
            return (
                "no meter is set for the device's supply: use deploy --meter um25c:/dev/rfcomm0, or `meter:` in "
                f"targets.yaml{seen}; `edgebench meters` lists them"
            )
        return "" if self._plan.energy_windows else "not requested; use deploy --energy"

    def _open(self) -> Meter:
        name, given = _naming.parse(self._target.meter)
        module = _naming.load(name)
        self._scope = module.SCOPE
        self._port = given or _naming.only_port(name, module.find())
        meter: Meter = module.open_meter(self._port, self._target.meter_volts)
        return meter

    def _give_up(self, reason: str) -> None:
        self._reason = reason
        self._progress.say(f"Measuring without the meter {self._asked}: {reason}")

    def align(self, agent: Agent) -> None:
        """Exchange clock readings with the device. If the link is lost, those before it remain."""
        if not self.name or self._job is None:
            return
        batch = []
        with contextlib.suppress(LinkLost):
            for _ in range(EXCHANGES):
                sent_ns = time.monotonic_ns()
                there = agent.clock()
                batch.append(Exchange(sent_ns, there.received_ns, there.sent_ns, time.monotonic_ns()))
        if batch:
            self._exchanges.append(batch)
            with contextlib.suppress(OSError), (self._job.folder / _CLOCK_FILE).open("ab") as file:
                file.write(msgspec.json.encode(batch) + b"\n")

    def hears(self, entry: AnyLine) -> bool:
        """Whether a journal line is a reason to ask if there are enough windows: the last one of a round is."""
        if not self.name or self._said_enough or not isinstance(entry, EnergyLine):
            return False
        number = entry.window.round
        self._windows_of[number] += 1
        is_last = self._windows_of[number] >= max(1, self._windows_of[number - 1])
        return is_last and number + 1 >= self._plan.energy_windows

    def talk(self, agent: Agent) -> None:
        """In the idle window after a round: stop the windows if the energy is precise enough, or will never be."""
        if not self.name or self._job is None or self._recorder is None:
            return
        self.align(agent)
        entries = self._job.entries
        windows = [entry for entry in entries if isinstance(entry, EnergyLine)]
        last = windows[-1]
        self._recorder.wait_past(self._alignment().here_s(last.end_ns), PATIENCE_S)
        alive = {entry.artifact for entry in windows if entry.window.round == last.window.round}
        if self._recorder.is_gone or all(self._is_precise(self.reading(index, entries)) for index in alive):
            agent.enough(self._job.request.id)
            self._said_enough = True

    def _is_precise(self, reading: EnergyReading) -> bool:
        found = per_inference.per_inference(reading)
        if found is None or found.windows < self._plan.energy_windows:
            return False
        return per_inference.is_precise(found, self._plan)

    # ------------------------------------------------------------------ what it saw

    def reading(self, artifact: int, entries: Sequence[AnyLine]) -> EnergyReading:
        """The meter's reading of one artifact's windows. Incomplete windows are refused, with the reason."""
        if self._recorder is None or not self._exchanges:
            return EnergyReading(self._asked, "unavailable", self._reason or "it gave no value", self._scope)
        recorder = self._recorder
        metered = MeteredWindows(recorder.trace(), recorder.sensor, self._alignment(), recorder.silences)
        idle, windows, refused = metered.windows(artifact, entries)
        if not windows:
            why = refused[0].reason if refused else "the job ended before its windows"
            return EnergyReading(
                self._asked, "unavailable", recorder.problem or why, self._scope, refused=tuple(refused)
            )  # fmt: skip
        meter, tally = recorder.meter, recorder.tally
        return EnergyReading(
            meter=self._asked,
            provenance="measured",
            reason=recorder.problem or _opened_again(recorder.silences),
            scope=self._scope,
            note=meter.note,
            instrument=_instrument(meter, metered.sensor, self._port),
            alignment=metered.stated([*idle.values(), *windows]),
            idle=tuple(idle.values()),
            windows=tuple(windows),
            refused=tuple(refused),
            flags=(*meter.flags, *(("late",) if metered.late_s else ())),
            late_s=metered.late_s,
            duplicates=tally.duplicates,
            dropped=tally.dropped,
        )

    def _alignment(self) -> Alignment:
        """Through the first and the last exchanges."""
        return _clock.align(self._exchanges[0], self._exchanges[-1])


def _opened_again(silences: Sequence[tuple[float, str]]) -> str:
    if not silences:
        return ""
    return f"{silences[0][1]}; it was reopened" + (f" {len(silences)} times" if len(silences) > 1 else "")


def _instrument(meter: Meter, sensor: Sensor, port: str) -> Instrument:
    from edgebench import __version__

    return Instrument(
        sampling=sensor.kind,
        period_s=sensor.period_s,
        latency_s=sensor.latency_s,
        accuracy=sensor.accuracy,
        device_id=meter.device_id,
        firmware=meter.firmware,
        version=f"edgebench {__version__}",
        port=port,
    )


def _kept_exchanges(folder: Path) -> list[list[Exchange]]:
    file = folder / _CLOCK_FILE
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=list[Exchange]) for line in lines]
