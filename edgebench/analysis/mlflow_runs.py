"""Records as runs of an MLflow experiment: one run a record, known again by the hash of the record's file.

parameters   what was measured and how: target, runtime, precision, plan, hashes
metrics      statistics in SI units; joules with meter, scope and provenance in the name
tags         verdict, edgebench's version, the record's hash
artifact     the record's file
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebench.analysis import comparability
from edgebench.energy import per_inference
from edgebench.errors import MissingPackage, UserError
from edgebench.progress import Progress
from edgebench.schema.record import Record

_PARAMETERS = (
    "target", "emulated", "browser", "artifact", "format", "precision", "sha256", "fed", "batch", "runtime",
    "runtime_version", "plan", "threads", "job", "commit", "size_bytes", "macs", "parameters",
)  # fmt: skip
_METRICS = {
    **{f"latency_{name}": name for q in ("p50", "p90", "p99") for name in (f"{q}_s", f"{q}_low_s", f"{q}_high_s")},
    **{name: name for name in (
        "throughput_hz", "load_s", "first_inference_s", "memory_high_water_bytes", "memory_runtime_bytes",
        "memory_weights_bytes", "memory_working_set_bytes", "accuracy", "device_accuracy", "device_accuracy_low",
        "device_accuracy_high", "top1_agreement",
    )},
}  # fmt: skip
HASH_TAG = "edgebench.record_sha256"
# MLflow sends usage data and tries a server that is not there for minutes, unless told otherwise.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_MOST_PARAMETER = 6000
_MOST_TAG = 5000


@dataclass
class PushedRuns:
    """made: names of the records that are new there. known: how many were there before. experiment_id: MLflow's."""

    experiment_id: str
    made: list[str] = field(default_factory=list)
    known: int = 0


def push(
    records: Sequence[tuple[Record, Mapping[str, Any]]], uri: str, experiment: str, progress: Progress
) -> PushedRuns:
    """records: each with its line of `tidy`. What was pushed before is left alone; a run that was cut short is
    completed. Raises UserError, MissingPackage.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise MissingPackage("results push", "mlflow", "mlflow") from error
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the error that ends this says it all
    try:
        client = MlflowClient(tracking_uri=uri)
        pushed = PushedRuns(_experiment(client, experiment))
        with progress.step(f"Pushing to {uri}", len(records)) as step:
            for record, line in records:
                if _push(client, pushed.experiment_id, record, line):
                    pushed.made.append(record.id)
                else:
                    pushed.known += 1
                step.advance(1, record.id)
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())
        reason = "no server answers there" if "Max retries" in words else f"MLflow says: {words[:300]}"
        raise UserError(
            uri, reason, "Start one (mlflow server) or give another --mlflow; what was pushed is not pushed again"
        ) from error
    return pushed


def _experiment(client: Any, name: str) -> str:
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name))
    if known.lifecycle_stage != "active":
        raise UserError(f"experiment '{name}'", "it was deleted there", "Restore it, or give another --experiment")
    return str(known.experiment_id)


def _push(client: Any, experiment_id: str, record: Record, line: Mapping[str, Any]) -> bool:
    """Whether it was new, or not complete."""
    path = record.path
    assert path is not None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run = next(iter(client.search_runs([experiment_id], f"tags.`{HASH_TAG}` = '{digest}'", max_results=1)), None)
    if run is not None and run.info.status == "FINISHED":
        return False
    begun_ms = _moment_ms(record)
    if run is None:
        tags = _tags(record, line) | {HASH_TAG: digest}
        run = client.create_run(experiment_id, begun_ms, tags, run_name=f"{record.artifact.name} on {line['target']}")
    _fill(client, run.info.run_id, line, record, begun_ms)
    client.log_artifact(run.info.run_id, str(path))
    client.set_terminated(run.info.run_id, "FINISHED")
    return True


def _fill(client: Any, run_id: str, line: Mapping[str, Any], record: Record, begun_ms: int | None) -> None:
    from mlflow.entities import Metric, Param

    parameters = {name: line[name] for name in _PARAMETERS}
    given = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    metrics = {name: line[column] for name, column in _METRICS.items()} | _joules(record)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, begun_ms or 0, 0) for name, value in metrics.items() if value is not None],
        params=[Param(name, value[:_MOST_PARAMETER]) for name, value in given.items()],
    )


def _tags(record: Record, line: Mapping[str, Any]) -> dict[str, str]:
    tags = {
        "edgebench.verdict": line["verdict"],
        "edgebench.reasons": line["reasons"],
        "edgebench.version": record.edgebench,
        "edgebench.record": record.id,
        "edgebench.energy": line["energy"],
        "edgebench.no_energy": line["no_energy"],
    }
    return {name: value[:_MOST_TAG] for name, value in tags.items() if value}


def _joules(record: Record) -> dict[str, float]:
    found, _ = per_inference.of_record(record)
    metrics: dict[str, float] = {}
    for one in found:
        source = re.sub(r"[^\w.-]", "_", f"{one.provenance}_{one.meter}_{one.scope}")
        for kind, joules in (("net", one.net_j), ("gross", one.gross_j)):
            if joules is not None:
                ends = {"": joules.value, "_low": joules.low, "_high": joules.high}
                metrics |= {f"energy_{kind}{end}_j_{source}": value for end, value in ends.items() if value is not None}
    return metrics


def _moment_ms(record: Record) -> int | None:
    made = comparability.moment(record)
    return None if made is None else int(made.timestamp() * 1000)
