"""The lock that all users of a device share: its holder is known, and it ends with the holder's process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import lock

JOB = {"id": "1", "owner": "anna@laptop", "artifacts": [{"name": "net-onnx-int8", "runtime": "onnxruntime"}]}


@pytest.fixture
def held() -> Iterator[int]:
    file, holder = lock.take(JOB)
    assert file is not None and holder is None
    yield file
    os.close(file)


def test_a_free_device_has_no_holder_before_and_after() -> None:
    assert lock.holder() is None
    file, _ = lock.take(JOB)
    assert file is not None
    os.close(file)
    assert lock.holder() is None


def test_a_second_job_is_told_who_measures_what(held: int) -> None:
    file, holder = lock.take(JOB)
    assert file is None and holder == lock.holder()
    assert holder["owner"] == "anna@laptop" and holder["runs"] == ["net-onnx-int8"] and holder["age_s"] < 60


def test_it_is_the_process_that_holds_it_not_who_started_it() -> None:
    file, _ = lock.take(JOB)
    job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(file,))
    os.close(file)
    assert lock.holder()["owner"] == "anna@laptop"
    job.kill()
    job.wait()
    assert job.stdin
    job.stdin.close()
    assert lock.holder() is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk, or be another user")
def test_another_user_takes_it_and_is_told_of_it(held: int) -> None:
    path = Path(os.environ["EDGEBENCH_LOCK"])
    script = (
        "import os; from device_agents.python import lock\n"
        "os.setgid(65534); os.setuid(65534); print(lock.holder()['owner'])"
    )
    for parent in path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path.parent.chmod(0o1777)  # as /tmp is
    said = subprocess.run(
        [sys.executable, "-B", "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert said.stdout.strip() == "anna@laptop", said.stderr


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"owner":1,"since_s":"x","runs":2}', "[" * 5000])
def test_what_another_user_wrote_is_not_trusted(held: int, content: str) -> None:
    os.ftruncate(held, 0)
    os.pwrite(held, content.encode(), 0)
    assert lock.holder() == {}


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    path = Path(os.environ["EDGEBENCH_LOCK"])
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").touch()
    with pytest.raises(ValueError, match=r"cannot be opened"):
        lock.holder()


@pytest.mark.parametrize(("runtime", "needed"), [("simulated", False), ("litert", True)])
def test_a_device_that_does_not_exist_needs_none(runtime: str, needed: bool) -> None:
    job: dict[str, Any] = {"artifacts": [{"runtime": runtime}]}
    assert lock.is_needed(job) == needed
