"""Builds that do not fit: a processor without the instructions, another glibc, another Python."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from device_agents.python.process import ModelWorkerProcess, WorkerFailed
from edgebench.analysis.verdict import failures
from edgebench.device import provisioning
from edgebench.device.provisioning import NoWheel
from edgebench.schema.facts import Facts
from edgebench.schema.record import Outcome

# An instruction that no processor has, run in the worker: ud2 of x86, udf of ARM.
ILLEGAL = """
import ctypes, mmap, platform
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\\x0f\\x0b" if platform.machine() == "x86_64" else bytes(4))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


def test_a_build_for_another_processor_is_named(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(ILLEGAL)
    options = {"threads": 1, "device": "cpu"}
    with ModelWorkerProcess(tmp_path / "stderr.txt") as worker, pytest.raises(WorkerFailed) as caught:
        worker.ask("runtime", 60, name="onnxruntime", folder=str(tmp_path), options=options)
    failed = caught.value
    assert failed.kind == "crashed" and failed.signal == "SIGILL"
    outcome = Outcome("failed", "check", "crashed", failed.reason, failed.signal or "")
    found = failures.explain(outcome)
    assert found.kind == "crash" and "--runtimes" in found.remedy
    start = "illegal instruction: this build needs instructions that this processor lacks (it has: "
    assert found.seen.startswith(start) and "\n" not in found.seen


def test_a_processor_with_brackets_in_its_name() -> None:
    said = "SIGILL during 'load': illegal instruction: this build needs instructions that this processor lacks "
    said += "(it has: Intel(R) Atom(TM) CPU, sse4_2); last words: x"
    assert "it has: Intel(R) Atom(TM) CPU, sse4_2)" in failures.of_words(said).seen


# ------------------------------------------------------------------ wheels


def wheel(folder: Path, tags: str) -> None:
    with zipfile.ZipFile(folder / f"thing-1.0-{tags}.whl", "w") as out:
        out.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        out.writestr("thing-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n")
        out.writestr("thing-1.0.dist-info/RECORD", "")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("cp311-cp311-manylinux_2_35_aarch64", "thing needs glibc 2.35 or newer, and the device has glibc 2.31"),
        ("cp312-cp312-manylinux_2_28_aarch64", "thing has wheels for Python 3.12, and the device has 3.11"),
    ],
)
def test_why_a_wheel_does_not_fit(tags: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real pip, from a folder."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(provisioning, "_PYTHONS", ("3.11", "3.12"))
    wheel(tmp_path, tags)
    with pytest.raises(NoWheel) as caught:
        provisioning.wheels_for({"thing": ""}, Facts(machine="aarch64", python="3.11.2", libc="glibc 2.31"))
    assert caught.value.seen.startswith(said)
