"""Making one step: a pure function from its description and its parents' checkpoints to files.

It runs in this process, in a worker process, or on another machine; files come back as bytes.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import msgspec

from edgebench import pack
from edgebench.evaluate import evaluate
from edgebench.finetune import finetune
from edgebench.networks import pruning, sparsity, training
from edgebench.progress import Progress, Silent
from edgebench.prune import prune
from edgebench.studies.study.matrix import StudyStep
from edgebench.studies.study.store import EVALUATION, NETWORK, PACKED, SPARSITY
from edgebench.train import TrainOptions, train


def perform(
    step: StudyStep,
    parents: list[bytes],
    scratch: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> dict[str, bytes]:
    """File name -> content. parents: their checkpoints, in the step's order.

    scratch: where a training keeps the state that it resumes from after a kill; without it the step starts over.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = scratch or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sources = []
        for number, content in enumerate(parents):
            sources.append(folder / f"parent-{number}.safetensors")
            sources[-1].write_bytes(content)
        return _MAKERS[step.kind](step, sources, folder, progress)


def recipe_epochs(step: StudyStep) -> int:
    """The epochs of a training if the study does not give them."""
    chosen = msgspec.convert(step.choices, training.Recipe)
    return sum(stage.epochs for stage in chosen.stages) or chosen.epochs


def _train(step: StudyStep, sources: list[Path], folder: Path, progress: Progress) -> dict[str, bytes]:
    made = train(
        step.model,
        step.dataset,
        recipe=msgspec.convert(step.choices, training.Recipe),
        epochs=step.epochs,
        seed=step.seed,
        options=TrainOptions(
            arguments=step.arguments,
            teacher=sources[0] if step.has_teacher else None,
            branches_from=sources[1:] if step.has_teacher else sources,
            pruning=step.pruning,
            # The modelled share of the energy is an extra: without its library it is absent.
            costing=training.Costing(modelled=importlib.util.find_spec("codecarbon") is not None),
            preprocessing=step.preprocessing,
            geometry=step.geometry,
        ),
        out=folder / NETWORK,
        progress=progress,
    )
    return {NETWORK: made.path.read_bytes()}


def _change(step: StudyStep, sources: list[Path], folder: Path, progress: Progress) -> dict[str, bytes]:
    (source,) = sources
    recipe = msgspec.convert(step.choices, training.Recipe)
    if step.pruning is None:
        made = finetune(source, recipe=recipe, epochs=step.epochs, out=folder / NETWORK, progress=progress)
    else:
        lossless = pruning.is_lossless(step.pruning.method)
        made = prune(
            source,
            method=step.pruning.method,
            ratio=step.pruning.ratio,
            options=step.pruning.options,
            recipe=recipe,
            finetune=None if lossless else step.epochs,
            out=folder / NETWORK,
            progress=progress,
        ).checkpoint
    return {NETWORK: made.path.read_bytes()}


def _read(step: StudyStep, sources: list[Path], folder: Path, progress: Progress) -> dict[str, bytes]:
    (source,) = sources
    packed = pack.sizes(source, step.packing) if step.packing else []
    return {
        EVALUATION: msgspec.json.encode(evaluate(source, pictures=step.seed == 0, progress=progress)),
        SPARSITY: msgspec.json.encode(sparsity.table_of(source).rows),
        PACKED: msgspec.json.encode({one.format: one.file_bytes for one in packed}),
    }


_MAKERS = {"train": _train, "change": _change, "read": _read}
