"""Bundles for a simulated device: what an artifact takes there is prescribed (device_agents/python/simulation.py)."""

from __future__ import annotations

import array
import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from device_agents.python.simulation import SimulatedBoard, SimulatedModel
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, Bundle, FileRef, Golden

# A small board as it should be, and what goes wrong with boards. Every field is explained in simulation.py.
CLEAN = SimulatedBoard(wander=0.002, wander_s=0.1)
BOARDS: dict[str, SimulatedBoard] = {
    "clean": CLEAN,
    "throttled": dataclasses.replace(CLEAN, warmth_c_per_w=25.0, ambient_c=20.0, cooling_s=15.0),
    "under-volted": dataclasses.replace(CLEAN, under_voltage_at_s=3.0),
    "drifting": dataclasses.replace(CLEAN, drift_per_hour=20.0),
    "noisy": dataclasses.replace(CLEAN, busy_every_s=0.6, busy_s=0.4),
}
NET = SimulatedModel(
    2_000_000,
    noise=0.02,
    outlier_share=0.002,
    wander=0.002,
    wander_s=0.1,
    placement=0.002,
    startup_excess=0.5,
    startup_s=0.2,
    waking_excess=0.3,
    waking_s=0.004,
)


def network(board: str, *, seed: int = 0, faster: float = 0.0) -> SimulatedModel:
    """NET on one of BOARDS; `faster`: by this fraction of its latency."""
    device = dataclasses.replace(BOARDS[board], seed=seed)
    return dataclasses.replace(NET, latency_ns=round(NET.latency_ns * (1 - faster)), device=device)


def write_examples(folder: Path) -> list[Path]:
    """A bundle for each of BOARDS: a network, the same once more, and one that is faster by 2 %; their folders."""
    return [
        write_bundle(
            folder / board,
            {"net": network(board), "twin": network(board), "faster": network(board, faster=0.02)},
        )
        for board in BOARDS
    ]


def write_bundle(folder: Path, models: Mapping[str, SimulatedModel]) -> Path:
    """A bundle of one artifact per model, with golden inputs that each answers as it prescribes; its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = tuple(_write_artifact(folder, name, model) for name, model in models.items())
    created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    bundle.save(Bundle(folder.name, "simulated", {"file": "simulated"}, artifacts, created), folder)
    return folder


def _write_artifact(folder: Path, name: str, model: SimulatedModel) -> Artifact:
    path = folder / f"{name}.sim"
    path.write_text(json.dumps(dataclasses.asdict(model), indent=1) + "\n")
    count = len(model.answers)
    inputs = _write(folder, f"{name}-inputs.bin", bytes(range(count)))
    flat = array.array("f", [value for answer in model.answers for value in answer])
    answers = _write(folder, f"{name}-answers.bin", flat.tobytes())
    return Artifact(
        name=f"{name}-simulated",
        format="simulated",
        precision="unknown",
        content=bundle.file_ref(folder, path),
        golden=Golden(count, (inputs,), (answers,), (answers,), (1e-6,)),
    )


def _write(folder: Path, name: str, content: bytes) -> FileRef:
    path = folder / "golden" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return bundle.file_ref(folder, path)
