"""Several numbers of threads in one job, and what --threads and --cpus take."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from edgebench import deploy
from edgebench.errors import UserError
from edgebench.schema import targets
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target
from tests.conftest import run_cli
from tests.support.said import Heard

HERE = Target(name="here", transport="local", runtimes=("onnxruntime", "litert"))


def test_each_file_is_measured_with_each_number_of_threads_in_one_job(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    """On one processor of this machine: `cpus: big`, where it has one class, chooses all of them and says so."""
    options = deploy.DeployOptions(threads=(1, 2))
    target, heard = msgspec.structs.replace(HERE, cpus="big"), Heard()
    wanted = deploy.artifacts_at([relu_bundle])
    records = deploy.deploy(target, wanted, tiny_plan, tmp_path / "results", options, progress=heard)
    assert [(one.artifact.format, one.target.threads) for one in records] == [
        ("onnx", 1), ("onnx", 2), ("tflite", 1), ("tflite", 2),
    ]  # fmt: skip
    assert all(one.rounds for one in records) and len({one.job for one in records}) == 1
    assert len({one.path for one in records}) == 4 and records[1].id.endswith("-2threads")
    assert [one.runtime.spun_s is None for one in records] == [True, False, True, False]
    known = records[0].facts_before.core_classes
    if len(known) == 1:
        assert any("one class of processors" in line for line in heard.lines)
        assert list(records[0].runtime.cpus) == sorted(os.sched_getaffinity(0))


def test_what_is_typed() -> None:
    assert targets.with_cpus(HERE, "big").cpus == "big"
    assert targets.with_cpus(HERE, "0, 4-6").cpus == (0, 4, 5, 6)
    assert targets.with_threads(HERE, "4,1, 2,1") == (HERE, (1, 2, 4))
    one, sweep = targets.with_threads(HERE, "3")
    assert one.threads == 3 and sweep == ()
    phone = Target(name="phone", transport="web")
    assert targets.with_threads(phone, "2")[0].threads == 2
    for target, given in ((HERE, ""), (HERE, "0"), (HERE, "1,x"), (HERE, "2000"), (phone, "1,2")):
        with pytest.raises(UserError, match="threads"):
            targets.with_threads(target, given)
    for given in ("", "large", "1-", "3-1", "0,-1", "99999"):
        with pytest.raises(UserError, match="is no processor"):
            targets.with_cpus(HERE, given)


def test_a_class_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("board:\n  transport: local\n  cpus: medium\n")
    wrong = run_cli("targets", cwd=tmp_path)
    assert wrong.returncode == 1 and "cpus" in wrong.stderr and "Traceback" not in wrong.stderr
    (tmp_path / "targets.yaml").write_text("board:\n  transport: local\n  cpus: little\n")
    assert targets.load("board", tmp_path / "targets.yaml").cpus == "little"
