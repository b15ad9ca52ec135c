"""A Ray cluster: `--on ray://head:10001`, or `--on ray://` for one started on this machine for the run.

Every machine of the cluster needs edgebench[train] of the same version and the data sets ($EDGEBENCH_DATA; data of the
user's own at the same path). Networks travel as bytes; nothing else has to be shared. A step on a machine with a GPU
gets one.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from edgebench import __version__
from edgebench.errors import MissingPackage, UserError
from edgebench.progress import Progress
from edgebench.studies.study.matrix import StudyStep
from edgebench.studies.study.places import Files, answered, perform_apart

# Ray's message may be followed by its server's traceback.
LONGEST_REASON = 200

# Ray's client server forks while gRPC's threads run; with gRPC's fork handlers the server of a new client died in 4 of
# 11 connections on an idle machine, without them in 0 of 20 (Ray 2.60, grpcio 1.85; ray-project/ray#63202).
START_A_HEAD = "GRPC_ENABLE_FORK_SUPPORT=0 ray start --head"


class Cluster:
    def __init__(self, ray: Any, jobs: int) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        self._gpus = 1 if resources.get("GPU") else 0
        self.jobs = max(jobs, int(resources.get("GPU" if self._gpus else "CPU", 1)))
        self._perform = ray.remote(num_cpus=1, num_gpus=self._gpus)(perform_apart)

    def submit(self, step: StudyStep, parents: list[bytes], scratch: Path, progress: Progress) -> Future[Files]:
        return answered(self._perform.remote(step, parents).future(), self._is_gone)

    def close(self, *, now: bool) -> None:
        self._ray.shutdown()

    def _is_gone(self, error: BaseException) -> bool:
        """Whether a machine or the cluster was lost, as opposed to an error that a step raised."""
        known = self._ray.exceptions
        return isinstance(error, known.RayError | ConnectionError) and not isinstance(error, known.RayTaskError)


def open_place(address: str, jobs: int) -> Cluster:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingPackage("--on ray://", "ray", "ray") from error

    where = f"--on ray://{address}"
    try:
        ray.init(
            f"ray://{address}" if address else None,
            log_to_driver=False,
            include_dashboard=None if address else False,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            where,
            f"no Ray cluster answers ({' '.join(str(error).split())[:LONGEST_REASON]})",
            f"Start one with `{START_A_HEAD}`, and give the port of its client server (10001). If it wants a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN",
        ) from error
    try:
        _check_version(ray, where)
    except BaseException:  # Ctrl-C included: the client must not stay connected
        ray.shutdown()
        raise
    return Cluster(ray, jobs)


def _check_version(ray: Any, where: str) -> None:
    try:
        there = ray.get(ray.remote(_version).remote())
    except ray.exceptions.RayError as error:
        raise UserError(
            where, "the cluster cannot run edgebench", "Install edgebench[train] on its machines"
        ) from error
    if there != __version__:
        raise UserError(
            where, f"the cluster has edgebench {there}, this is {__version__}", "Install the same version everywhere"
        )


def _version() -> str:
    from edgebench import __version__

    return __version__
