"""Small studies, and stand-ins for what makes their steps, for the tests of everything that runs a study."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edgebench.errors import UserError
from edgebench.evaluate import evaluate
from edgebench.networks.evaluation import Bin, Embedding, Evaluation, GradCam, ParameterCount
from edgebench.progress import Progress
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Metadata
from edgebench.schema.history import Metrics, Size, Training
from edgebench.schema.preprocessing import Preprocessing
from edgebench.studies.study import file_checks, matrix, places, steps
from edgebench.studies.study.matrix import Matrix, StudyStep
from edgebench.studies.study.store import EVALUATION, NETWORK, PACKED, SPARSITY
from tests.conftest import sha256

DATASET = "fashion-mnist-mini@200,100"

# 16 steps: per seed the trainings of dense and before, the changes of control and half, and four readings.
TINY: dict[str, Any] = {
    "title": "A tiny study",
    "source": "the tests",
    "about": "Two variants of the smallest network",
    "figures": ["table", "curves"],
    "parts": {
        "mlp": {
            "about": "dense and half of the weights",
            "models": ["mlp-small"],
            "datasets": [DATASET],
            "recipe": "default",
            "epochs": 2,
            "seeds": 2,
            "packing": ["bitmask"],
            "variants": {
                "dense": {},
                "control": {"after": [{"epochs": 1}]},
                "half": {"after": [{"prune": {"method": "l1-global", "ratio": 0.5}, "epochs": 1}]},
                "before": {"before": {"method": "l1-uniform", "ratio": 0.5}},
            },
            "subset": {"seeds": 1, "epochs": 1, "variants": ["dense", "half"]},
        }
    },
    "claims": [
        {"says": "half is smaller", "part": "mlp", "metric": "nonzero", "of": {"variant": "half"},
         "to": {"variant": "dense"}, "at_most": -6000},
    ],
}  # fmt: skip


def changed(**keys: Any) -> dict[str, Any]:
    """TINY with other keys in its only part."""
    return {**TINY, "parts": {"mlp": {**TINY["parts"]["mlp"], **keys}}}


def minimal(**keys: Any) -> dict[str, Any]:
    """One training and one reading."""
    whole = changed(**{"seeds": 1, "epochs": 1, "packing": [], "variants": {"dense": {}}, "subset": {}, **keys})
    return {**whole, "figures": ["table"], "claims": []}


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Grad-CAM and t-SNE take seconds for each network, and have tests of their own (test_evaluate.py)."""

    def plain(source: Path, *, pictures: bool, progress: Progress) -> Evaluation:
        return evaluate(source, pictures=False, progress=progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "evaluate", plain)
        yield


def write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def expand(path: Path, *, subset: bool = False, only: tuple[str, ...] = ()) -> Matrix:
    return matrix.expand(matrix.parts(file_checks.load(path), subset=subset, only=only))


def networks(folder: Path) -> dict[str, str]:
    """A hash of the weights by step; the metadata holds times."""
    import safetensors.torch

    def digest(path: Path) -> str:
        return sha256(b"".join(t.numpy().tobytes() for _, t in sorted(safetensors.torch.load_file(path).items())))

    paths = [path for path in folder.rglob(NETWORK) if ".part" not in path.parent.name]
    return {path.parent.name: digest(path) for path in paths}


def metadata(model: str = "mlp-small", *, dataset: str = DATASET, accuracy: float = 0.8, **keys: Any) -> Metadata:
    return Metadata(
        model=model,
        dataset=dataset,
        input_shape=(1, 28, 28),
        class_names=("a", "b"),
        preprocessing=Preprocessing((0.5,), (0.5,)),
        size=Size(13_002, 12_960, 52_008),
        metrics=Metrics(accuracy, 0.5, 10_000),
        **keys,
    )


class Fake:
    """A place that trains nothing, and fails as prescribed: failing and bug are parts of labels."""

    def __init__(self, folder: Path, jobs: int = 1, failing: str = "", bug: str = "") -> None:
        self.jobs = jobs
        self.asked: list[str] = []
        self.closed: list[bool] = []
        self._folder = folder
        self._failing = failing
        self._bug = bug

    def submit(self, step: StudyStep, parents: list[bytes], scratch: Path, progress: Progress) -> Future[places.Files]:
        self.asked.append(f"{step.kind} {step.label}")
        made: Future[places.Files] = Future()
        if self._failing and self._failing in self.asked[-1]:
            made.set_exception(UserError("here", "it is wrong", "Mend it"))
        elif self._bug and self._bug in self.asked[-1]:
            made.set_exception(ZeroDivisionError())
        else:
            made.set_result(self._made(step, parents))
        return made

    def close(self, *, now: bool) -> None:
        self.closed.append(now)

    def _made(self, step: StudyStep, parents: list[bytes]) -> places.Files:
        from torch import nn

        digests = [checkpoint.verified_digest(content, Path("parent")) for content in parents]
        if step.kind == "read":
            read = msgspec.json.encode(evaluation(0.0, digests[0]))
            return {EVALUATION: read, SPARSITY: b"[]", PACKED: b"{}"}
        run = Training({}, step.seed, "", parent="+".join(digests) or None)
        about = metadata(step.model, dataset=step.dataset, training=(run,))
        path = checkpoint.save(nn.Linear(1, 1), about, self._folder / f"{step.key}.safetensors").path
        return {NETWORK: path.read_bytes()}


def evaluation(ece: float, checkpoint: str = "") -> Evaluation:
    """All answers with a confidence of 1; `ece` of them wrong."""
    return Evaluation(
        checkpoint=checkpoint,
        model="mlp-small",
        dataset="mnist",
        split="test",
        class_names=("a", "b"),
        confusion=((1, 0), (0, 1)),
        top5_right=None,
        nll=0.1,
        brier=0.1,
        reliability=(Bin(100, 1.0, 1 - ece),),
        roc=(),
        parameters=ParameterCount(1, 1, 1, 0),
        grad_cam=GradCam(),
        tsne=Embedding(),
    )
