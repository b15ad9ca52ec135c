"""How a killed host resumes: unsaved jobs are found by their request."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from device_agents.python import PROTOCOL
from edgebench.device import job_store
from edgebench.device.job_store import JobRequest, JobStore
from edgebench.errors import AgentError, UserError
from edgebench.schema.bundle import Artifact
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target
from tests.support.records import PLAN, make_artifact

TARGET = Target(name="board", transport="local")
ARTIFACTS = [make_artifact("net-onnx-fp32"), make_artifact("net-onnx-int8")]
KEY = job_store.job_key(TARGET, PLAN, ARTIFACTS, "agent")


def request(key: str = KEY, id_: str = "20261120T100000Z-a") -> JobRequest:
    specs = ({}, {"golden": {"count": 3}})
    return JobRequest(id_, key, "20261120T100000Z", TARGET, PLAN, tuple(ARTIFACTS), specs, protocol=PROTOCOL)


def line(number: int) -> bytes:
    return b'{"n":%d,"t_ns":1,"event":"end","status":"done","complete":[]}' % number


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "results", "board")


# ------------------------------------------------------------------ the key


def test_the_same_question_has_the_same_key() -> None:
    again = Target(name="board", transport="local")
    assert job_store.job_key(again, PLAN, list(ARTIFACTS), "agent") == KEY


@pytest.mark.parametrize(
    ("target", "plan", "artifacts", "agent"),
    [
        (msgspec.structs.replace(TARGET, threads=2), PLAN, ARTIFACTS, "agent"),
        (TARGET, msgspec.structs.replace(PLAN, rounds_min=7), ARTIFACTS, "agent"),
        (TARGET, PLAN, ARTIFACTS[:1], "agent"),
        (TARGET, PLAN, ARTIFACTS[::-1], "agent"),
        (TARGET, PLAN, [ARTIFACTS[0], make_artifact("net-onnx-int8", content="retrained")], "agent"),
        (TARGET, PLAN, ARTIFACTS, "another agent"),
    ],
    ids=["target", "plan", "fewer", "order", "content", "agent"],
)
def test_another_question_has_another_key(target: Target, plan: Plan, artifacts: list[Artifact], agent: str) -> None:
    assert job_store.job_key(target, plan, artifacts, agent) != KEY


# ------------------------------------------------------------------ open jobs


def test_an_open_job_is_found_by_its_key_with_its_lines(jobs: JobStore, tmp_path: Path) -> None:
    job = jobs.add(request())
    job.append(line(0))
    job.append(line(1))
    found = JobStore(tmp_path / "results", "board").find(KEY)  # what another process sees
    assert found is not None
    assert found.request == request()
    assert found.lines == [line(0), line(1)]
    assert [entry.n for entry in found.entries] == [0, 1]


def test_an_open_job_is_found_by_no_other_key_and_on_no_other_target(jobs: JobStore, tmp_path: Path) -> None:
    jobs.add(request())
    assert jobs.find("another") is None
    assert JobStore(tmp_path / "results", "board-2").find(KEY) is None


def test_among_several_open_jobs_the_newest_with_the_key_is_found(jobs: JobStore) -> None:
    jobs.add(request(id_="20261118T000000Z-a"))
    jobs.add(request(id_="20261119T000000Z-a"))
    jobs.add(request("another", "20261120T000000Z-b"))
    found = jobs.find(KEY)
    assert found is not None and found.request.id == "20261119T000000Z-a"


def test_a_closed_job_is_gone(jobs: JobStore, tmp_path: Path) -> None:
    jobs.add(request()).close()
    assert jobs.find(KEY) is None
    assert list((tmp_path / "results/board/.jobs").iterdir()) == []


def test_a_half_line_that_a_kill_left_is_cut_off(jobs: JobStore, tmp_path: Path) -> None:
    job = jobs.add(request())
    job.append(line(0))
    journal = tmp_path / "results/board/.jobs" / job.request.id / "journal.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"n":1,"val')
    found = jobs.find(KEY)
    assert found is not None and found.lines == [line(0)]
    assert journal.read_bytes() == line(0) + b"\n"
    found.append(line(1))
    assert journal.read_bytes() == line(0) + b"\n" + line(1) + b"\n"


def test_a_first_line_cut_in_half_leaves_no_lines(jobs: JobStore, tmp_path: Path) -> None:
    job = jobs.add(request())
    journal = tmp_path / "results/board/.jobs" / job.request.id / "journal.jsonl"
    journal.write_bytes(b'{"n":')
    found = jobs.find(KEY)
    assert found is not None and found.lines == [] and journal.read_bytes() == b""


def test_a_job_that_begins_anew_has_no_lines(jobs: JobStore) -> None:
    job = jobs.add(request())
    job.append(line(0))
    job.forget_lines()
    found = jobs.find(KEY)
    assert job.lines == job.entries == [] and found is not None and found.lines == []
    job.forget_lines()  # nor is it an error to have had none
    job.append(line(0))
    assert job.lines == [line(0)]


def test_a_request_that_was_not_wholly_written_is_no_job(jobs: JobStore, tmp_path: Path) -> None:
    folder = tmp_path / "results/board/.jobs/20261120T100000Z-a"
    folder.mkdir()
    (folder / "request.part").write_bytes(b'{"id":')
    assert jobs.find(KEY) is None


@pytest.mark.parametrize("key", [KEY, "another"])
def test_a_request_of_another_version_of_edgebench_is_passed_over(key: str, jobs: JobStore, tmp_path: Path) -> None:
    """A killed deploy, then an upgrade: it does not keep the new version from measuring."""
    jobs.add(request(key))
    path = tmp_path / "results/board/.jobs/20261120T100000Z-a/request.json"
    path.write_bytes(path.read_bytes().replace(b'"rounds_min":6,', b""))
    assert jobs.find(KEY) is None
    jobs.add(request(id_="20261119T100000Z-a"))
    assert jobs.find(KEY) is not None


# ------------------------------------------------------------------ what versions before protocol 2 left behind


@pytest.fixture
def old_job(tmp_path: Path) -> Path:
    """The folder of a job as version 0.1 kept it; its agent, and so its key, are not those of today."""
    folder = tmp_path / "results/board/.jobs/20261120T100000Z-a"
    folder.mkdir(parents=True)
    asked = msgspec.to_builtins(request("the key of then"))
    del asked["protocol"]
    (folder / "request.json").write_bytes(msgspec.json.encode(asked))
    (folder / "journal.jsonl").write_text(
        '{"n":0,"t_ns":5,"event":"job","id":"20261120T100000Z-a","protocol":1,"python":"3.11.2"}\n'
        '{"n":1,"t_ns":6,"event":"loaded","artifact":0,"runtime":"onnxruntime","runtime_facts":{"version":"1.31.1"},'
        '"load_ns":7,"first_inference_ns":8,"inputs":[],"notes":{},"signature":"","threads":1,"cpus":[0]}\n'
        '{"n":2,"t_ns":7,"event":"round","artifact":0,"round":0,"block":1,"start_ns":9,"duration_ns":30,"missed":null,'
        '"temperature_c":null,"throttled":null,"clock_hz":null,"values_ns":[10,10,10]}\n'
    )
    return folder


def test_the_same_question_of_an_older_protocol_is_refused_with_what_to_do(old_job: Path, jobs: JobStore) -> None:
    assert jobs.find(KEY) is None
    with pytest.raises(UserError) as caught:
        jobs.refuse_older(TARGET, PLAN, ARTIFACTS)
    assert str(caught.value) == (
        "target 'board': job 20261120T100000Z-a was left unfinished by a version of edgebench that speaks protocol 1, "
        f"not {PROTOCOL}. Finish it with that version, or remove {old_job} to measure anew"
    )


def test_another_question_of_an_older_protocol_is_in_nobodys_way(old_job: Path, jobs: JobStore) -> None:
    other = make_artifact("net-onnx-int8", content="retrained")
    jobs.refuse_older(TARGET, PLAN, [ARTIFACTS[0], other])
    jobs.refuse_older(TARGET, msgspec.structs.replace(PLAN, rounds_min=7), ARTIFACTS)
    jobs.refuse_older(msgspec.structs.replace(TARGET, threads=2), PLAN, ARTIFACTS)


def test_a_journal_of_an_older_protocol_is_refused_with_what_to_do(old_job: Path, jobs: JobStore) -> None:
    with pytest.raises(AgentError, match=f"speaks protocol 1, not {PROTOCOL}. Finish it with that version, or remove"):
        jobs.find("the key of then")


# ------------------------------------------------------------------ where results cannot be written


@pytest.mark.parametrize("in_the_way", ["results", "results/board", "results/board/.jobs"])
def test_a_file_in_the_place_of_a_folder_is_said_with_the_remedy(in_the_way: str, tmp_path: Path) -> None:
    path = tmp_path / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")
    with pytest.raises(UserError, match="results cannot be written there .* Give another folder with --results"):
        JobStore(tmp_path / "results", "board")


def test_a_folder_that_takes_no_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the refusal is simulated."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"results cannot be written there \(Permission denied\)"):
        JobStore(tmp_path / "results", "board")


def test_the_trial_leaves_nothing_behind(jobs: JobStore, tmp_path: Path) -> None:
    assert [path.name for path in (tmp_path / "results/board").rglob("*")] == [".jobs"]
    assert jobs.find(KEY) is None
