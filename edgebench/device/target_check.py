"""check(): reach a device and report what it is, what is missing, and how to fix that."""

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
    """What was found. hints: what would make measurements there possible or better."""

    target: Target
    facts: Facts
    runtimes: dict[str, RuntimeOnDevice]
    hints: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether `deploy` can run something there: a runtime works, or deploy will install one."""
        return any(not one.problem or self._will_be_installed(name) for name, one in self.runtimes.items())

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
        for name, runtime in self.runtimes.items():
            if not runtime.problem:
                origin = "(installed by edgebench)" if runtime.folder else ""
                yield f"  {name:12} {runtime.facts.get('version', '')} {origin}"
            elif self._will_be_installed(name):
                yield f"  {name:12} not installed; `edgebench deploy` installs it"
            else:
                yield f"  {name:12} not available: {runtime.problem}"
        for name, meter in facts.meters.items():
            readable = f"readable{'; ' if meter.note else ''}{meter.note}" if meter.available else f"no: {meter.note}"
            yield f"  energy       {name} {readable}"
        for hint in self.hints:
            yield f"  hint: {hint}"
        yield "ready" if self.ready else "not ready: no runtime works there"

    def _will_be_installed(self, name: str) -> bool:
        return provisioning.can_install(name, self.target)


def check(target: Target, *, progress: Progress) -> CheckedTarget:
    """Raises Unreachable or AgentError, with the remedy, if no agent can be reached."""
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
            f"governor is '{facts.governor}': in short measurements the clock is still ramping up; "
            "for steady numbers: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    if facts.throttled:
        yield f"throttle bits {facts.throttled:#x} are set: check the power supply and the cooling"
    if facts.load_1min and facts.cores and facts.load_1min > 0.5 * facts.cores:
        yield f"load is {facts.load_1min:.1f} on {facts.cores} cores: close other programs before measuring"
