"""A board that runs short of memory, and one whose kernel ends what wants too much: real jobs in a small cgroup."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx import helper as h

from edgebench import deploy
from edgebench.analysis import verdict
from edgebench.analysis.verdict import failures
from edgebench.analysis.verdict.conditions import REFAULTS_LIMIT
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.faults import small_memory
from tests.support.faults.small_memory import Group
from tests.support.odd_models import FLOAT, onnx_file

MB = 1_000_000
WEIGHTS = 40
SHORT = 64 * MB


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with small_memory.group(tmp_path) as made:
        yield made


def mapped(path: Path) -> Path:
    """Its weights stay in a file that the runtime maps, as doubles are not packed: pages that may be taken away."""
    rows = WEIGHTS * MB // 8 // 1000
    weight = numpy_helper.from_array(np.ones((rows, 1000)), "w")
    nodes = [
        h.make_node("Cast", ["x"], ["double"], to=TensorProto.DOUBLE),
        h.make_node("MatMul", ["w", "double"], ["product"]),
        h.make_node("Cast", ["product"], ["y"], to=FLOAT),
    ]
    return onnx_file(
        path, nodes, [("x", FLOAT, [1000, 1])], [("y", FLOAT, [rows, 1])], weights=[weight],
        save_as_external_data=True, location=path.name + ".data",
    )  # fmt: skip


def wasteful(path: Path) -> Path:
    """A file of some bytes that wants 512 MB."""
    size = numpy_helper.from_array(np.array([128, MB]), "s")
    return onnx_file(
        path,
        [h.make_node("Expand", ["x", "s"], ["y"])],
        [("x", FLOAT, [1, 1])],
        [("y", FLOAT, [128, MB])],
        weights=[size],
    )


def measure(group: Group, files: list[Path], plan: Plan) -> list[Record]:
    target = Target(name="here", transport="local", python=str(group.python))
    results = group.python.parent / "results"
    return deploy.deploy(target, deploy.artifacts_at(files), plan, results)


def forget_pages(folder: Path) -> None:
    """A page is charged to the group that reads it first: drop the cache, so that none is charged yet."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_a_figure_that_fell_for_want_of_memory_is_doubtful(
    group: Group, tmp_path: Path, cache: Path, tiny_plan: Plan
) -> None:
    few = msgspec.structs.replace(tiny_plan, memory_inferences=2)
    path = mapped(tmp_path / "mapped.onnx")
    (free,) = measure(group, [path], few)
    forget_pages(cache / "agent/blobs")
    group.limit(SHORT)
    (short,) = measure(group, [path], few)
    assert free.memory and short.memory and free.memory.high_water_bytes and short.memory.high_water_bytes
    assert short.memory.high_water_bytes < free.memory.high_water_bytes - 8 * MB
    assert free.memory.running["refaults"] < REFAULTS_LIMIT <= short.memory.running["refaults"]
    assert not [reason for reason in verdict.judge(free).reasons if "short of memory" in reason.seen]
    (said,) = [reason for reason in verdict.judge(short).reasons if "short of memory" in reason.seen]
    assert said.level == "suspect" and "pages were read again" in said.seen and "too low" in said.seen


def test_the_kernel_ends_what_wants_too_much_and_the_job_goes_on(
    group: Group, models: Path, tmp_path: Path, tiny_plan: Plan
) -> None:
    group.limit(120 * MB)
    wide, small = measure(group, [wasteful(tmp_path / "wasteful.onnx"), models / "relu.onnx"], tiny_plan)
    assert (wide.outcome.status, wide.outcome.kind, wide.outcome.signal) == ("failed", "crashed", "SIGKILL")
    found = failures.explain(wide.outcome)
    assert found.kind == "memory" and re.search(
        r"want of memory: it held \d+\.\d MB, .* may have 120\.0 MB", found.seen
    )
    assert found.remedy.startswith("Raise that limit there") and "INT8" in found.remedy
    assert small.rounds and small.outcome.status in ("complete", "budget")
