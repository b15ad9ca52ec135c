"""check(): reach a device and say what it is, what is missing, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgebench.device import provisioning
from edgebench.device.agent import Agent
from edgebench.device.answers import RuntimeOnDevice
from edgebench.device.transports import open_transport
from edgebench.progress import Progress
from edgebench.schema.facts import Facts
from edgebench.schema.targets import Target


@dataclass(frozen=True)
class CheckedTarget:
    """What was found. `hints` are the things that would make its numbers better or possible."""

    target: Target
    facts: Facts
    runtimes: dict[str, RuntimeOnDevice]
    hints: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether `deploy` can run something there: a runtime is there, or will be brought."""
        return any(not here.problem or self._will_be_brought(name) for name, here in self.runtimes.items())

    def lines(self) -> Iterator[str]:
        facts = self.facts
        yield f"{self.target.name}: reached by {self.target.transport}"
        for name, value in (
            ("model", facts.model),
            ("processor", facts.cpu and f"{facts.cpu}, {facts.cores} cores, {' '.join(facts.cpu_features)}"),
            ("browser", facts.browser and f"{facts.browser}{'' if facts.isolated else ', not isolated'}"),
            ("system", facts.system),
            ("battery", facts.battery),
            ("memory", facts.ram_bytes and f"{facts.ram_bytes / 1e9:.1f} GB"),
            ("governor", facts.governor),
            ("temperature", facts.temperature_c and f"{facts.temperature_c:.1f} °C"),
        ):
            if value:
                yield f"  {name:12} {value}"
        for name, here in self.runtimes.items():
            if not here.problem:
                yield f"  {name:12} {here.facts.get('version', '')} {'(brought by edgebench)' if here.folder else ''}"
            elif self._will_be_brought(name):
                yield f"  {name:12} not there; `edgebench deploy` brings it"
            else:
                yield f"  {name:12} not there: {here.problem}"
        for name, meter in facts.meters.items():
            readable = f"readable{'; ' if meter.note else ''}{meter.note}" if meter.available else f"no: {meter.note}"
            yield f"  energy       {name} {readable}"
        for hint in self.hints:
            yield f"  hint: {hint}"
        yield "ready" if self.ready else "not ready: no runtime works on it"

    def _will_be_brought(self, name: str) -> bool:
        return provisioning.can_bring(name, self.target)


def check(target: Target, *, progress: Progress) -> CheckedTarget:
    """Raises Unreachable or AgentError with the remedy if there is nothing to talk to."""
    agent = Agent(open_transport(target), f"target '{target.name}'", progress)
    try:
        with progress.step(f"Looking at {target.name}"):
            facts = agent.facts()
            runtimes = provisioning.look(agent, target, target.runtimes)
    finally:
        agent.close()
    return CheckedTarget(target, facts, runtimes, tuple(_hints(facts)))


def _hints(facts: Facts) -> Iterator[str]:
    if facts.governor and facts.governor != "performance":
        yield (
            f"governor is '{facts.governor}': short measurements see the clock ramp up; "
            "for steady numbers: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    if facts.throttled:
        yield f"throttle bits {facts.throttled:#x} are set: check the power supply and the cooling"
    if facts.load_1min and facts.cores and facts.load_1min > 0.5 * facts.cores:
        yield f"load is {facts.load_1min:.1f} on {facts.cores} cores: close other programs before measuring"
