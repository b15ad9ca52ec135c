"""Records in MLflow, by a real server on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench import results
from edgebench.analysis import mlflow_runs
from edgebench.errors import UserError
from tests.support.records import failed, make_reading, make_record, save_all

pytest.importorskip("mlflow")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    words = ["--backend-store-uri", f"sqlite:///{tmp_path / 'runs.db'}", "--artifacts-destination", str(tmp_path / "a")]
    command = [sys.executable, "-m", "mlflow", "server", *words, "--workers", "1", "--port", str(port)]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_for(f"{uri}/health", process)
        yield uri
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 240
    while time.monotonic() < ends and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail("MLflow's server did not start")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_run_a_record_however_often_it_is_pushed(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    made = make_record("net-onnx-fp32", energy=(make_reading(),))
    records = [made, failed("net-onnx-int8")]
    (path, _) = save_all(tmp_path / "results", records)
    assert len(results.push(records[:1], server, "boards").made) == 1
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("boards").experiment_id
    (run,) = client.search_runs([experiment])
    client.update_run(run.info.run_id, status="RUNNING")  # as if it had been cut short
    pushed = results.push(records, server, "boards")
    assert len(pushed.made) == 2 and results.push(records, server, "boards").known == 2
    runs = {one.data.params["artifact"]: one.data for one in client.search_runs([experiment])}
    data = runs["net-onnx-fp32"]
    assert data.params["target"] == "board" and data.params["sha256"] == made.artifact.sha256
    assert data.metrics["latency_p50_s"] == pytest.approx(50e-6, rel=0.01)
    assert data.metrics["latency_p50_low_s"] < data.metrics["latency_p50_s"] < data.metrics["latency_p50_high_s"]
    assert [name for name in data.metrics if name.startswith("energy_net_j_measured_")]
    assert data.tags["edgebench.verdict"] == "valid" and data.tags["edgebench.version"] == "0.1.0"
    assert runs["net-onnx-int8"].tags["edgebench.verdict"] == "invalid"
    assert not [name for name in runs["net-onnx-int8"].metrics if name.startswith("latency")]
    kept = client.download_artifacts(run.info.run_id, path.name, str(tmp_path))
    assert Path(kept).read_bytes() == path.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_no_server_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record = make_record()
    save_all(tmp_path, [record])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"^{uri}: no server answers there. Start one"):
            results.push([record], uri)
    with pytest.raises(UserError, match="^nonsense://x: MLflow says: "):
        results.push([record], "nonsense://x")


def test_every_metric_is_a_column() -> None:
    from edgebench.analysis.columns import COLUMNS

    assert {*mlflow_runs._METRICS.values(), *mlflow_runs._PARAMETERS} <= set(COLUMNS)
