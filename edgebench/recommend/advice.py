"""advice: which of a bundle's files is worth deploying on a target, and on what evidence.

    this machine      the files race here, in processor time
    a board           instructions of its core: counted for these files on the emulated board if that is asked for,
                      otherwise looked up for this network or a similar one, which is then mentioned

Without such evidence there is no advice. None of it is the latency on a device: `deploy` measures that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal, cast

import msgspec

from edgebench.deploy import LocalArtifact
from edgebench.device.emulator import BOARDS
from edgebench.errors import UserError
from edgebench.progress import Progress
from edgebench.recommend import counting, counts
from edgebench.recommend.counts import Count
from edgebench.schema import targets
from edgebench.schema.bundle import Artifact
from edgebench.schema.inspection import NetworkInFile
from edgebench.schema.targets import Target
from exporters import FORM
from exporters.inspect import LookTask
from exporters.workers.messages import RaceTask
from exporters.workers.process import Failed, WorkerPool

# INT8 costs accuracy, so it must be this much cheaper than the best float file.
WORTH = 0.9
RACE_S = 2.0
# The newest onnxruntime for the Python of the oldest Raspberry Pi OS in use (Debian 11).
OLDEST_ONNXRUNTIME = (1, 19)
SLOW_ACTIVATIONS = ("Sigmoid", "HardSigmoid", "HardSwish", "LOGISTIC", "HARD_SWISH")
KINDS = {
    "linear": "linear layers only",
    "plain": "plain convolutions",
    "depthwise": "depthwise convolutions",
    "depthwise-sigmoid": "depthwise convolutions and sigmoids on maps",
}
NOT_TIME = "Instructions are not time (they exclude caches and memory)"


@dataclass(frozen=True)
class TargetCosts:
    """costs: by artifact name, in `unit`. origin: what was measured, where, and for which network."""

    target: str
    costs: dict[str, float]
    unit: Literal["M instructions", "ms"]
    origin: str
    remarks: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        return min(self.costs, key=lambda name: self.costs[name])

    def worth(self, precisions: dict[str, str]) -> str:
        """The artifact to deploy: the cheapest, except INT8 that is hardly cheaper than a float one."""
        exact = {name: cost for name, cost in self.costs.items() if precisions[name] != "int8"}
        closest = min(exact, key=lambda name: exact[name], default=self.best)
        return closest if self.costs[self.best] > WORTH * self.costs[closest] else self.best


@dataclass(frozen=True)
class Advice:
    """notes: by artifact name, for the bundle. lines: for the user."""

    notes: dict[str, dict[str, str]]
    lines: tuple[str, ...]


def check(names: Sequence[str]) -> dict[str, Target | str]:
    """What each name stands for: this machine, or a board whose core is known. Raises UserError."""
    found: dict[str, Target | str] = {}
    if not names:
        return found
    known = targets.load_all(targets.find_file(None))
    for name in names:
        board = name.removesuffix("-emulated")
        if board in BOARDS:
            found[name] = board
        elif name in known and known[name].transport == "local" and known[name].device == "cpu":
            found[name] = known[name]
        else:
            local = [one.name for one in known.values() if one.transport == "local" and one.device == "cpu"]
            raise UserError(
                "--for",
                f"nothing is known about what is fast on '{name}'",
                f"Known: {', '.join((*BOARDS, *local))}; `edgebench deploy` measures the files on any target",
            )
    return found


def advise(
    wanted: dict[str, Target | str],
    artifacts: Sequence[Artifact],
    folder: Path,
    scratch: Path,
    *,
    emulate: bool,
    progress: Progress,
) -> Advice:
    """wanted: from `check`. folder: where the artifacts' files are. emulate: count these very files."""
    if not wanted:
        return Advice({}, ())
    workers = WorkerPool(scratch)
    network = _read(artifacts, folder, scratch, workers)
    notes: dict[str, dict[str, str]] = {artifact.name: {} for artifact in artifacts}
    lines: list[str] = []
    for name, place in wanted.items():
        if not isinstance(place, str):
            evidence = _raced(name, artifacts, folder, workers)
        elif emulate:
            evidence = _counted(name, place, artifacts, folder, progress)
        else:
            evidence = _looked_up(name, place, artifacts, network)
        lines += _lines(evidence, artifacts)
        lines += [f"  {remark}" for remark in (*evidence.remarks, *_too_new(network, place))]
        chosen = evidence.worth(_precisions(artifacts)) if evidence.costs else ""
        for artifact in artifacts:
            if artifact.name in evidence.costs:
                verdict = "worth deploying: " if artifact.name == chosen else ""
                cost = f"{_shown(evidence.costs[artifact.name])} {evidence.unit}"
                notes[artifact.name][f"for_{name}"] = f"{verdict}{cost}; {evidence.origin}"
    return Advice(notes, tuple(lines))


def _precisions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    return {artifact.name: artifact.precision for artifact in artifacts}


def _read(artifacts: Sequence[Artifact], folder: Path, scratch: Path, workers: WorkerPool) -> NetworkInFile | None:
    """The layers of one of the float files; None if none can be read."""
    for artifact in artifacts:
        if artifact.format in ("onnx", "tflite") and artifact.precision == "fp32":
            path = str((folder / artifact.content.file).absolute())
            with suppress(Failed):
                return cast(NetworkInFile, workers.look(LookTask(path, artifact.format, "read", str(scratch))))
    return None


def kind_of(network: NetworkInFile) -> str:
    """A name in KINDS: networks of one kind run the same kernels."""
    layers = [layer for layer in network.layers if layer.macs]
    if not any(len(layer.output_shape) == 4 for layer in layers):
        return "linear"
    if not any(layer.grouped for layer in layers):
        return "plain"
    slow = any(
        layer.operator in SLOW_ACTIVATIONS and sum(size > 1 for size in layer.output_shape) > 1
        for layer in network.layers
    )
    return "depthwise-sigmoid" if slow else "depthwise"


def _raced(name: str, artifacts: Sequence[Artifact], folder: Path, workers: WorkerPool) -> TargetCosts:
    costs: dict[str, float] = {}
    for plugin in ("onnx", "tflite"):
        mine = [artifact for artifact in artifacts if artifact.format == plugin]
        if mine:
            files = tuple(str(folder / artifact.content.file) for artifact in mine)
            latencies = workers.race(plugin, RaceTask(files, RACE_S))
            costs |= {artifact.name: 1e3 * s for artifact, s in zip(mine, latencies, strict=True)}
    return TargetCosts(name, costs, "ms", "processor time of one thread on this machine, the files taking turns")


def _counted(
    name: str, board: str, artifacts: Sequence[Artifact], folder: Path, progress: Progress
) -> TargetCosts:  # fmt: skip
    mine = [artifact for artifact in artifacts if artifact.format in ("onnx", "tflite")]
    counted = counting.count([LocalArtifact(artifact, folder) for artifact in mine], board, progress=progress)
    runtimes = ", ".join(sorted({runtime for _, runtime in counted.values()}))
    return TargetCosts(
        name,
        {called: number / 1e6 for called, (number, _) in counted.items()},
        "M instructions",
        f"counted for these files on the emulated {BOARDS[board].cpu} ({runtimes})",
    )


def _looked_up(name: str, board: str, artifacts: Sequence[Artifact], network: NetworkInFile | None) -> TargetCosts:
    """From the table: this network, or else the most similar one in size of the same kind."""
    table = counts.table()
    here = [one for one in table.counts if one.board == board]
    model, macs = artifacts[0].model, artifacts[0].macs
    found = [one for one in here if one.network == model and one.macs == macs]
    about = "this network"
    if not found and network is not None and macs:
        kind = kind_of(network)
        alike = [one for one in here if one.kind == kind]
        if alike:
            nearest = min(alike, key=lambda one: abs(log(one.macs / macs)))
            found = [one for one in alike if (one.network, one.macs) == (nearest.network, nearest.macs)]
            about = (
                f"{nearest.network} ({nearest.macs / 1e6:.3g} M MACs), which is of the same kind "
                f"({KINDS[kind]}; this network has {macs / 1e6:.3g} M)"
            )
    costs = {
        artifact.name: one.instructions / 1e6
        for artifact in artifacts
        for one in found
        if (one.format, one.precision, one.form) == (artifact.format, artifact.precision, _form(artifact))
    }
    if not costs:
        return TargetCosts(name, {}, "M instructions", "no similar network was counted; --emulate counts this one")
    runtimes = ", ".join(sorted({one.runtime for one in found}))
    origin = f"counted for {about} on the emulated {BOARDS[board].cpu}, {table.counted} ({runtimes})"
    remarks = () if about == "this network" else ("This network itself was not counted; --emulate counts it",)
    return TargetCosts(name, costs, "M instructions", origin, (*remarks, *_other_forms(artifacts, found)))


def _form(artifact: Artifact) -> str:
    """The form of an ONNX INT8 file; "" for any other."""
    return artifact.notes.get(FORM, "").partition(",")[0]


def _other_forms(artifacts: Sequence[Artifact], found: Sequence[Count]) -> Iterator[str]:
    """How many instructions ONNX INT8 would take there in its other forms."""
    numbers = {one.form: one.instructions for one in found if one.form}
    for mine in {form for artifact in artifacts if (form := _form(artifact)) in numbers}:
        others = [f"as {form} {number / numbers[mine]:.2f}" for form, number in numbers.items() if form != mine]
        if others:
            yield f"ONNX INT8 is {mine}; instructions relative to it: {', '.join(others)}"


def _too_new(network: NetworkInFile | None, place: Target | str) -> Iterator[str]:
    """Whether boards with an old system can load an .onnx file."""
    needs = network.facts.get("loads from", "") if network else ""
    if not isinstance(place, str) or "onnxruntime" not in needs:
        return
    oldest = ".".join(map(str, OLDEST_ONNXRUNTIME))
    version = needs.rpartition(" ")[2].split(".")
    if needs.startswith("newer"):
        yield f"ONNX: loads in a runtime {needs}; Debian 11 has {oldest}: export it with opset 17"
    elif tuple(map(int, version[:2])) > OLDEST_ONNXRUNTIME:
        yield f"ONNX: needs {needs} or newer, but Debian 11 has {oldest}: export it with opset 17"
    else:
        yield f"ONNX: needs {needs} or newer (Debian 11 has {oldest})"


def _lines(evidence: TargetCosts, artifacts: Sequence[Artifact]) -> Iterator[str]:
    if not evidence.costs:
        yield f"for {evidence.target}: {evidence.origin}"
        return
    chosen = evidence.worth(_precisions(artifacts))
    yield f"for {evidence.target}: {chosen}"
    width = max(map(len, evidence.costs))
    for name, cost in sorted(evidence.costs.items(), key=lambda item: item[1]):
        ratio = cost / evidence.costs[chosen]
        yield f"  {name:<{width}}  {_shown(cost):>7} {evidence.unit}, {ratio:.2f} times"
    if evidence.best != chosen:
        yield f"  {evidence.best} takes less than {1 - WORTH:.0%} fewer: INT8 is not worth its loss of accuracy there"
    yield f"  {evidence.origin[0].upper()}{evidence.origin[1:]}"
    if evidence.unit == "M instructions":
        yield f"  {NOT_TIME}: measure with `edgebench deploy`"


def _shown(cost: float) -> str:
    return f"{cost:.3g}" if cost < 1000 else f"{cost:,.0f}"


def noted(artifact: Artifact, notes: dict[str, dict[str, str]]) -> Artifact:
    return msgspec.structs.replace(artifact, notes=artifact.notes | notes.get(artifact.name, {}))
