"""Make the artifacts of one export: convert with all plugins side by side, choose between candidates, check each."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

import exporters
from edgebench.errors import UserError
from edgebench.progress import ProgressStep
from edgebench.schema import bundle
from edgebench.schema import tensors as parity
from edgebench.schema.bundle import Artifact, Parity, Precision
from edgebench.schema.inspection import Format
from exporters import Asked, Choice, Job, Made, Scheme
from exporters.pipeline import asking, drop, float_operators, golden
from exporters.pipeline import candidates as _candidates
from exporters.pipeline.candidates import Best, Choosing
from exporters.pipeline.evidence import Evidence
from exporters.pipeline.material import Material
from exporters.pipeline.results import ALONE, Results
from exporters.sources.parent import Parent
from exporters.workers.process import Failed, Worker, Workers, at_once
from exporters.workers.worker import Fold, Ran

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

# Beyond these an artifact is not a less exact copy of its parent, it is another network: something broke.
LARGEST_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 1e-3, "fp16": 5e-2}
LEAST_AGREEMENT_INT8 = 0.5
# Of a converter and the process that then runs its files: libraries, and copies of the float32 weights. ResNet18 in six
# formats by two of them was seen to take 2.54 GB, this process included.
CONVERTER_BYTES = 1_200_000_000
COPIES_OF_WEIGHTS = 8
INSPECTED: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Converter:
    """A plugin's worker, with the job that it did last."""

    job: Job
    worker: Worker
    evidence: Evidence


@dataclass(frozen=True)
class Making:
    """One export. part: the bundle's folder while it is not whole; scratch: for everything else.

    material: None where no data set is known. converters: how many may run at once.
    """

    parent: Parent
    material: Material | None
    asked: Asked
    part: Path
    scratch: Path
    workers: Workers
    converters: int
    step: ProgressStep
    _ready: Future[Evidence] = field(default_factory=Future)

    def all(self, choices: list[Choice]) -> Results:
        """Converters side by side where memory allows. What fails alone leaves the others be; what concerns all of them
        (the parent's answers, Ctrl-C) ends everything that still runs.

        Float files are converted while this process lets the parent answer to the images; INT8 waits for the answers,
        because a parent may be refused for them.
        """
        if not choices:
            return {}
        plugins = list(dict.fromkeys(choice.plugin for choice in choices))
        with ThreadPoolExecutor(self.converters) as pool:
            try:
                running = [pool.submit(self._plugin, p, [c for c in choices if c.plugin == p]) for p in plugins]
                self._ready.set_result(
                    asking.evidence(
                        self.parent, self.material, self.scratch, self.workers, by_all=self.asked.max_drop is not None
                    )
                )
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                self._ready.cancel()
                self.workers.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {name: one for future in running for name, one in future.result().items()}

    def _name(self, choice: Choice) -> str:
        return f"{self.parent.name}-{choice.name}"

    def _plugin(self, plugin: str, choices: list[Choice]) -> Results:
        """All of one plugin: convert them in one worker, choose, then load and check each in one of its own."""
        output = self.scratch / plugin
        output.mkdir()
        results: Results = {}
        chosen = []
        with contextlib.ExitStack() as workers:
            worker = workers.enter_context(self.workers.start("convert", plugin))
            job = Job(
                source=str(self.parent.path),
                kind=self.parent.kind,
                precisions=tuple(choice.precision for choice in choices if choice.precision != "int8"),
                folder=str(output),
                schemes=self._schemes(plugin),
                foreign=self.parent.foreign,
                dynamic_batch=self.asked.dynamic_batch,
            )
            candidates, problem = self._converted(worker, job, plugin)
            problems = {precision: problem for precision in job.precisions}
            evidence = self._ready.result()
            if any(choice.precision == "int8" for choice in choices):
                job = msgspec.structs.replace(
                    job,
                    precisions=("int8",),
                    calibration=str(evidence.calibration or ""),
                    preprocessing=evidence.preprocessing,
                )
                if problem and any(candidates.values()):  # the worker ended, but what all are made of is there
                    worker, problem = workers.enter_context(self.workers.start("convert", plugin)), None
                if problem is None:
                    integer, problem = self._converted(worker, job, plugin)
                    candidates |= {} if problem else integer
                problems["int8"] = problem
            for choice in choices:
                try:
                    chosen.append(self._chosen(choice, candidates, problems, Converter(job, worker, evidence)))
                except ALONE as failure:
                    results[choice.name] = failure
        with ThreadPoolExecutor(at_once()) as pool:
            return results | dict(pool.map(lambda one: self._tried(*one, evidence), chosen))

    def _chosen(
        self,
        choice: Choice,
        candidates: Mapping[Precision, list[Made]],
        problems: Mapping[Precision, Failed | UserError | None],
        converter: Converter,
    ) -> tuple[Best, Choice]:
        """The file of a choice and what to note about it. Raises what kept it from being made."""
        found, problem = candidates.get(choice.precision), problems[choice.precision]
        if not found:
            assert problem is not None
            raise problem
        made, *others = found
        notes = {"exporter": choice.plugin} | made.notes
        if self.parent.zeros_note:
            notes["zeros"] = self.parent.zeros_note
        if made.scheme is None:
            return Best(made, notes, None, "nothing, there is one way to make it"), choice
        choosing = Choosing(choice, converter.job, converter.worker, self.workers, converter.evidence)
        best = choosing.best([made, *others], self.asked.max_drop)
        return replace(best, notes=notes | best.notes), choice

    def _tried(self, best: Best, choice: Choice, evidence: Evidence) -> tuple[str, Artifact | Failed | UserError]:
        try:
            return choice.name, self._checked(best, choice, evidence)
        except ALONE as failure:
            return choice.name, failure

    def _schemes(self, plugin: str) -> tuple[Scheme, ...]:
        if exporters.load(plugin).FORMAT == "onnx":
            return tuple(msgspec.structs.replace(scheme, kernels=self.asked.kernels) for scheme in _candidates.SCHEMES)
        return _candidates.SCHEMES

    def _converted(
        self, worker: Worker, job: Job, plugin: str
    ) -> tuple[dict[Precision, list[Made]], Failed | UserError | None]:
        """What was made, and what ended it before all of it was."""
        candidates: dict[Precision, list[Made]] = {precision: [] for precision in job.precisions}
        try:
            for line in worker.answers(job):
                assert line.made is not None
                if not candidates[line.made.precision]:
                    self.step.advance(1, f"{plugin}-{line.made.precision} converted")
                candidates[line.made.precision].append(line.made)
        except ALONE as failure:
            return candidates, failure
        return candidates, None

    def _checked(self, best: Best, choice: Choice, evidence: Evidence) -> Artifact:
        """Run the file over the whole test split, compare, and put it into the bundle with its golden files."""
        test, file, notes = evidence.test, Path(best.made.file), best.notes
        if self.asked.fold:
            file, how = self._folded(file, choice, evidence)
            notes |= {"preprocessing": how}
        if choice.precision == "int8":
            notes |= self._int8_notes(best, file, choice)
        answers, ran = test.answers(
            choice.plugin, file, self.workers, folded=self.asked.fold, any_batch=self.asked.dynamic_batch
        )
        self._refuse_stranger(answers, test.reference, choice)
        if choice.precision == "int8" and self.asked.max_drop is not None and test.labels is not None:
            lost = drop.measured(answers, test.reference, test.labels, "test images")
            notes |= drop.notes(self.asked.max_drop, best.drop, lost, best.tried)
        content = self.part / f"{choice.name}{choice.exporter.SUFFIX}"
        shutil.copyfile(file, content)
        self.step.advance(1, f"{choice.name} checked")
        return Artifact(
            name=self._name(choice),
            format=choice.exporter.FORMAT,
            precision=choice.precision,
            content=bundle.file_ref(self.part, content),
            model=self.parent.model,
            inputs=ran.inputs,
            outputs=ran.outputs,
            macs=self.parent.macs,
            parameters=self.parent.parameters,
            golden=golden.write(
                self.part,
                choice.name,
                choice.precision,
                stored=test.stored(test.golden, ran.inputs[0]),
                expected=answers[test.golden],
                reference=test.reference[test.golden],
            ),
            parity=_parity(answers, evidence, ran),
            preprocessing=evidence.preprocessing,
            notes=notes,
        )

    def _int8_notes(self, best: Best, file: Path, choice: Choice) -> dict[str, str]:
        """Which of its operators are float after all, and whether it is INT8 by more than its name."""
        if choice.exporter.FORMAT not in INSPECTED:
            return {}
        told, integers = float_operators.note(file, choice.exporter.FORMAT, self.scratch, self.workers)
        doubts = []
        if integers == 0:
            doubts.append("none of its operators computes in integers")
        size, float32 = Path(best.made.file).stat().st_size, best.made.float32_bytes
        if float32 and size >= float32:
            doubts.append(f"it has {size:,} bytes, the fp32 file that it was made of {float32:,}")
        if not doubts:
            return {"float_operators": told}
        return {"float_operators": told, float_operators.BY_NAME_ONLY: "; ".join(doubts)}

    def _folded(self, file: Path, choice: Choice, evidence: Evidence) -> tuple[Path, str]:
        """The same file for raw images, and how it prepares them."""
        assert evidence.preprocessing is not None
        out = file.with_name(f"folded-{choice.precision}{choice.exporter.SUFFIX}")
        return out, self.workers.fold(choice.plugin, Fold(str(file), str(out), evidence.preprocessing))

    def _refuse_stranger(self, answers: Float32Array, reference: Float32Array, choice: Choice) -> None:
        import numpy as np

        if answers.shape != reference.shape:
            seen = f"it answers {list(answers.shape[1:])} numbers, the network it came from {list(reference.shape[1:])}"
        elif not np.isfinite(answers).all():
            seen = "some of its answers are not numbers"
        elif choice.precision == "int8":
            agreement = parity.agreement(answers, reference)
            if agreement >= LEAST_AGREEMENT_INT8:
                return
            seen = f"it agrees with the network it came from on only {agreement:.1%} of {len(answers)} images"
        else:
            error, largest = parity.relative_error(answers, reference), LARGEST_RELATIVE_ERROR[choice.precision]
            if error <= largest:
                return
            seen = (
                f"its answers to {len(answers)} images differ from those of the network it came from by {error:.2g} "
                f"of their size, {choice.precision} may differ by {largest:g}"
            )
        raise UserError(self._name(choice), seen, "Leave it out with --formats, and report the network to edgebench")


def side_by_side(converters: int, parameters: int) -> int:
    """How many of them may run at once, in the memory that is free now: at least one."""
    import psutil

    each = CONVERTER_BYTES + COPIES_OF_WEIGHTS * 4 * parameters
    return max(1, min(converters, psutil.virtual_memory().available // each))


def _parity(answers: Float32Array, evidence: Evidence, ran: Ran) -> Parity | None:
    labels, reference = evidence.test.labels, evidence.test.reference
    if labels is None:
        return None
    return Parity(
        dataset=evidence.dataset,
        images=len(answers),
        accuracy=parity.accuracy(answers, labels),
        parent_accuracy=parity.accuracy(reference, labels),
        top1_agreement=parity.agreement(answers, reference),
        max_abs_diff=float(abs(answers - reference).max()),
        sqnr_db=parity.sqnr_db(answers, reference),
        runtime=ran.runtime,
    )
