"""Sources of the joules that a training takes: hardware counters, or on request a model.

`start()` begins a window and `stop()` returns its shares; `tick()` is called in between, because RAPL's counters wrap
around after some minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from device_agents.python.meters import Unavailable, rapl
from edgebench.energy.carbon import J_PER_KWH
from edgebench.errors import MissingPackage
from edgebench.schema.history import EnergyShare

if TYPE_CHECKING:
    import torch

_COMPONENT_OF_SCOPE: dict[str, Literal["cpu", "ram"]] = {"cpu_package": "cpu", "dram": "ram"}


class EnergySource(Protocol):
    def start(self) -> None: ...

    def tick(self) -> None: ...

    def stop(self) -> list[EnergyShare]: ...


def sources(where: torch.device, *, modelled: bool) -> tuple[list[EnergySource], str]:
    """All sources of this machine, or why there are none. Raises MissingPackage if the model is wanted but missing."""
    found: list[EnergySource] = []
    reasons = []
    measured: set[str] = set()
    try:
        packages = Packages()
        found.append(packages)
        measured |= packages.components
    except Unavailable as reason:
        reasons.append(str(reason))
    if where.type == "cuda":
        try:
            found.append(Gpu(where))
        except Unavailable as reason:
            reasons.append(str(reason))
    if modelled and measured < {"cpu", "ram"}:
        found.append(Modelled({"cpu", "ram"} - measured))
    if found:
        return found, ""
    return [], f"{'; '.join(reasons)}; --carbon adds a modelled figure"


class Packages:
    """RAPL: everything that the processor packages draw, whoever uses them."""

    def __init__(self) -> None:
        self._meter: Any = rapl.open_meter()
        self.start()
        self.tick()
        self.components = {_COMPONENT_OF_SCOPE[scope] for scope in self._joules}

    def start(self) -> None:
        self._joules: dict[str, float] = {}
        self._before = self._meter.read()

    def tick(self) -> None:
        now = self._meter.read()
        for scope, joules in self._meter.joules(self._before, now).items():
            self._joules[scope] = self._joules.get(scope, 0.0) + joules
        self._before = now

    def stop(self) -> list[EnergyShare]:
        self.tick()
        return [
            EnergyShare(_COMPONENT_OF_SCOPE[scope], joules, "measured", "RAPL counters of the whole machine")
            for scope, joules in self._joules.items()
        ]


class Gpu:
    """NVML's energy counter of the board that trains, Volta and newer (millijoules since the driver was loaded)."""

    def __init__(self, where: torch.device) -> None:
        import torch

        try:
            import pynvml  # type: ignore[import-untyped]
        except ModuleNotFoundError:
            raise Unavailable("the GPU's counter needs nvidia-ml-py; pip install 'edgebench[meters]'") from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(where).uuid}"
            self._board = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            self._before = self._read()
        except pynvml.NVMLError as error:
            raise Unavailable(f"the GPU's counter cannot be read ({error})") from None

    def _read(self) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._board))

    def start(self) -> None:
        self._before = self._read()

    def tick(self) -> None:
        pass

    def stop(self) -> list[EnergyShare]:
        joules = (self._read() - self._before) / 1000
        return [EnergyShare("gpu", joules, "measured", "NVML energy counter of the board")]


class Modelled:
    """What codecarbon's model says of parts without a counter: rated power times load, and watts per memory module.

    Nothing is sent and no file written.
    """

    def __init__(self, components: set[str]) -> None:
        import logging
        from importlib.metadata import version

        try:
            from codecarbon import OfflineEmissionsTracker
        except ModuleNotFoundError as error:
            raise MissingPackage("--carbon", "codecarbon", "carbon") from error
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it talks before it reads its own log_level
        self._components = components
        self._source = f"codecarbon {version('codecarbon')}, "
        # The country decides the intensity, which is not used here.
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA", output_methods=[], log_level="critical", allow_multiple_runs=True
        )
        self._windows = 0

    def start(self) -> None:
        self._windows += 1
        self._tracker.start_task(f"window {self._windows}")

    def tick(self) -> None:
        pass

    def stop(self) -> list[EnergyShare]:
        task = self._tracker.stop_task()
        shares = [
            EnergyShare("cpu", task.cpu_energy * J_PER_KWH, "modelled", f"{self._source}rated power times load"),
            EnergyShare("ram", task.ram_energy * J_PER_KWH, "modelled", f"{self._source}watts per memory module"),
        ]
        return [share for share in shares if share.component in self._components]
