"""The conversion: what becomes of one network on its way into a bundle, from top to bottom.

    run       one thread for each plugin, while this process runs the parent on the images
    _plugin   convert to fp32 and fp16; when the parent has answered, convert to INT8 in every scheme;
              choose one file of each precision (`candidates`); check each file
    _checked  fold the preprocessing if asked for, run the file on the whole test split, refuse it if something broke,
              copy it into the bundle with its golden inputs

What a converter does is in the file of its format (`exporters/onnx.py`, ...).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import msgspec

import exporters
from edgebench.errors import UserError
from edgebench.progress import ProgressStep
from edgebench.schema import bundle, tensors
from edgebench.schema.bundle import Artifact, FileRef, Parity, Precision
from edgebench.schema.inspection import Format
from exporters import ArtifactOptions, Choice, ConversionJob, ConvertedFile
from exporters.arithmetic import feeds
from exporters.pipeline import accuracy_drop, answers, broken, float_operators, golden, reference_data, task_scores
from exporters.pipeline.answers import ArtifactAnswers
from exporters.pipeline.candidates import SCHEMES, Best, CandidateSelection
from exporters.pipeline.export_images import ExportImages
from exporters.pipeline.export_inputs import ExportInputs
from exporters.pipeline.reference_data import ReferenceData
from exporters.pipeline.results import ALONE, Results
from exporters.sources.source_model import SourceModel
from exporters.workers.messages import FoldTask, RunResult
from exporters.workers.process import Failed, WorkerPool, WorkerProcess, at_once

# Memory of a converter and of the process that then runs its files: libraries, and copies of the float32 weights.
# ResNet18 in six formats with two converters took 2.54 GB, this process included.
CONVERTER_BYTES = 1_200_000_000
COPIES_OF_WEIGHTS = 8
INSPECTED: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Converter:
    """A plugin's worker, with the job it did last."""

    job: ConversionJob
    worker: WorkerProcess
    reference: ReferenceData


@dataclass(frozen=True)
class Conversion:
    """One export. part: the bundle's folder while it is incomplete; scratch: for everything else.

    images: None where no data set is known. converters: how many may run at once.
    """

    parent: SourceModel
    images: ExportImages | ExportInputs | None
    options: ArtifactOptions
    part: Path
    scratch: Path
    workers: WorkerPool
    converters: int
    step: ProgressStep
    _reference: Future[ReferenceData] = field(default_factory=Future)

    def run(self, choices: list[Choice]) -> Results:
        """Make all artifacts, with as many converters at once as memory allows.

        An artifact that fails leaves the others alone; what concerns all of them (the parent's answers, Ctrl-C) ends
        everything that still runs. INT8 waits for the parent's answers, because a parent may be refused for them.
        """
        if not choices:
            return {}
        plugins = list(dict.fromkeys(choice.plugin for choice in choices))
        by_all = self.options.max_drop_points is not None
        with ThreadPoolExecutor(self.converters) as pool:
            try:
                running = [pool.submit(self._plugin, p, [c for c in choices if c.plugin == p]) for p in plugins]
                reference = reference_data.collect(self.parent, self.images, self.scratch, self.workers, by_all=by_all)
                self._reference.set_result(reference)
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:  # also Ctrl-C: no process may outlive the export
                self._reference.cancel()
                self.workers.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._by_other_routes(
            choices, {name: one for future in running for name, one in future.result().items()}
        )

    def _by_other_routes(self, choices: list[Choice], results: Results) -> Results:
        """What a converter could not make is tried with another one of the same format."""
        others = [
            other
            for choice in choices
            if isinstance(results[choice.name], Failed)
            if (other := exporters.other_route(choice, self.parent.kind))
        ]
        for plugin in dict.fromkeys(other.plugin for other in others):
            found = self._plugin(plugin, [other for other in others if other.plugin == plugin])
            # The first reason is the better one: that route supports more operators.
            results |= {name: one for name, one in found.items() if isinstance(one, Artifact)}
        return results

    def _plugin(self, plugin: str, choices: list[Choice]) -> Results:
        """Everything that one plugin makes: one worker converts, then each file is checked in a process of its own."""
        output = self.scratch / plugin
        output.mkdir()
        results: Results = {}
        chosen = []
        with contextlib.ExitStack() as workers:
            worker = workers.enter_context(self.workers.start("convert", plugin))
            job = self._job(plugin, output, choices)
            files, problem = self._converted(worker, job, plugin)
            problems = {precision: problem for precision in job.precisions}
            reference = self._reference.result()
            if any(choice.precision == "int8" for choice in choices):
                job = msgspec.structs.replace(
                    job,
                    precisions=("int8",),
                    calibration=str(reference.calibration or ""),
                    preprocessing=reference.preprocessing,
                )
                if problem and any(files.values()):  # the worker died, but the file that all others start from exists
                    worker, problem = workers.enter_context(self.workers.start("convert", plugin)), None
                if problem is None:
                    integer, problem = self._converted(worker, job, plugin)
                    files |= {} if problem else integer
                problems["int8"] = problem
            for choice in choices:
                try:
                    chosen.append(self._chosen(choice, files, problems, Converter(job, worker, reference)))
                except ALONE as failure:
                    results[choice.name] = failure
        with ThreadPoolExecutor(at_once()) as pool:
            return results | dict(pool.map(lambda one: self._tried(one[0], one[1], reference), chosen))

    def _job(self, plugin: str, output: Path, choices: list[Choice]) -> ConversionJob:
        """The first job, for the precisions that need no images."""
        schemes = SCHEMES
        if exporters.load(plugin).FORMAT == "onnx":
            schemes = tuple(msgspec.structs.replace(scheme, kernels=self.options.kernels) for scheme in SCHEMES)
        return ConversionJob(
            source=str(self.parent.path),
            kind=self.parent.kind,
            precisions=tuple(choice.precision for choice in choices if choice.precision != "int8"),
            folder=str(output),
            schemes=schemes,
            isolated=self.parent.isolated,
            dynamic_batch=self.options.dynamic_batch,
            inputs=self.parent.inputs,
            outputs=self.parent.outputs,
        )

    def _converted(
        self, worker: WorkerProcess, job: ConversionJob, plugin: str
    ) -> tuple[dict[Precision, list[ConvertedFile]], Failed | UserError | None]:
        """The files that were made, and the error that ended the job early, if any."""
        files: dict[Precision, list[ConvertedFile]] = {precision: [] for precision in job.precisions}
        try:
            for line in worker.answers(job):
                assert line.made is not None
                if not files[line.made.precision]:
                    self.step.advance(1, f"{plugin}-{line.made.precision} converted")
                files[line.made.precision].append(line.made)
        except ALONE as failure:
            return files, failure
        return files, None

    def _chosen(
        self,
        choice: Choice,
        files: Mapping[Precision, list[ConvertedFile]],
        problems: Mapping[Precision, Failed | UserError | None],
        converter: Converter,
    ) -> tuple[Best, Choice]:
        """The best file for a choice, with its notes. Raises the error that kept it from being made."""
        found, problem = files.get(choice.precision), problems[choice.precision]
        if not found:
            assert problem is not None
            raise problem
        made = found[0]
        notes = {"exporter": choice.plugin} | made.notes
        if self.parent.zeros_note:
            notes["zeros"] = self.parent.zeros_note
        if made.scheme is None:
            return Best(made, notes, None, "nothing, there is only one way to make it"), choice
        selection = CandidateSelection(choice, converter.job, converter.worker, self.workers, converter.reference)
        best = selection.best(found, self.options.max_drop_points)
        return replace(best, notes=notes | best.notes), choice

    def _tried(self, best: Best, choice: Choice, reference: ReferenceData) -> tuple[str, Artifact | Failed | UserError]:
        try:
            return choice.name, self._checked(best, choice, reference)
        except ALONE as failure:
            return choice.name, failure

    def _checked(self, best: Best, choice: Choice, reference: ReferenceData) -> Artifact:
        """Run the file on the whole test split, compare, and put it into the bundle with its golden files."""
        test, file, notes = reference.test, Path(best.made.file), best.notes
        if self.options.fold:
            file, how = self._folded(file, choice, reference)
            notes |= {"preprocessing": how}
        if self.parent.precision != "fp32":
            notes |= {bundle.PARENT_PRECISION: self.parent.precision}
        if reference.own_test_set:
            notes |= {bundle.TEST_SET: reference.own_test_set}
        if choice.precision == "int8":
            notes |= self._int8_notes(best, file, choice)
        found, ran = test.answers(
            choice.plugin, file, self.workers, folded=self.options.fold, any_batch=self.options.dynamic_batch
        )
        broken.refuse(self._name(choice), choice.precision, found, test.reference, test.outputs)
        if choice.precision == "int8" and self.options.max_drop_points is not None and test.labels is not None:
            drop = accuracy_drop.measured(found.like_parent[0], test.reference[0], test.labels, "test images")
            notes |= accuracy_drop.notes(self.options.max_drop_points, best.drop, drop, best.tried)
        content, *companions = self._published(file, choice)
        self.step.advance(1, f"{choice.name} checked")
        return Artifact(
            name=self._name(choice),
            format=choice.exporter.FORMAT,
            precision=choice.precision,
            content=content,
            model=self.parent.model,
            inputs=ran.inputs,
            outputs=ran.outputs,
            macs=self.parent.macs,
            parameters=self.parent.parameters,
            golden=golden.write(
                self.part,
                choice.name,
                choice.precision,
                stored=test.stored(test.golden, ran.inputs, choice.name),
                expected=feeds.some(found.own, test.golden),
                reference=feeds.some(found.reference, test.golden),
            ),
            parity=_parity(found, reference, ran),
            preprocessing=reference.preprocessing,
            notes=notes,
            companions=tuple(companions),
        )

    def _published(self, file: Path, choice: Choice) -> list[FileRef]:
        """Its files as they are in the bundle, the one that a runtime opens first."""
        out = self.part / f"{choice.name}{choice.exporter.SUFFIX}"
        pairs = zip(*(exporters.with_companions(choice.exporter, one) for one in (file, out)), strict=True)
        return [bundle.file_ref(self.part, Path(shutil.copyfile(one, to))) for one, to in pairs]

    def _name(self, choice: Choice) -> str:
        return f"{self.parent.name}-{choice.name}"

    def _int8_notes(self, best: Best, file: Path, choice: Choice) -> dict[str, str]:
        """Which of its operators are float after all, and whether it is INT8 in more than its name."""
        if choice.exporter.FORMAT not in INSPECTED:
            return {}
        floating, integers = float_operators.note(file, choice.exporter.FORMAT, self.scratch, self.workers)
        doubts = []
        if integers == 0:
            doubts.append("none of its operators computes in integers")
        size, float32 = Path(best.made.file).stat().st_size, best.made.float32_bytes
        if float32 and size >= float32:
            doubts.append(f"it is no smaller than the fp32 file: {size:,} against {float32:,} bytes")
        if not doubts:
            return {"float_operators": floating}
        return {"float_operators": floating, float_operators.BY_NAME_ONLY: "; ".join(doubts)}

    def _folded(self, file: Path, choice: Choice, reference: ReferenceData) -> tuple[Path, str]:
        """The same file for raw images, and how it prepares them."""
        assert reference.preprocessing is not None
        out = file.with_name(f"folded-{choice.precision}{choice.exporter.SUFFIX}")
        return out, self.workers.fold(choice.plugin, FoldTask(str(file), str(out), reference.preprocessing))


def side_by_side(converters: int, parameters: int) -> int:
    """How many of them may run at once, in the memory that is free now: at least one."""
    import psutil

    each = CONVERTER_BYTES + COPIES_OF_WEIGHTS * 4 * parameters
    return max(1, min(converters, int(psutil.virtual_memory().available) // each))


def _parity(found: ArtifactAnswers, reference: ReferenceData, ran: RunResult) -> Parity | None:
    """None for numbers that were made up only to see whether a copy is exact."""
    test = reference.test
    if test.labels is None and not (reference.compared_on or reference.dataset):
        return None
    scores: dict[str, Any] = {}
    if reference.annotated is not None:
        scores = task_scores.of(found.like_parent, test, reference.annotated)
    if test.labels is not None:
        scores["accuracy"] = tensors.accuracy(found.like_parent[0], test.labels)
        scores["parent_accuracy"] = tensors.accuracy(test.reference[0], test.labels)
    return Parity(
        dataset=reference.dataset,
        images=len(test),
        runtime=ran.runtime,
        outputs=tuple(answers.parity(found, test.reference, test.outputs)),
        samples=reference.compared_on,
        **scores,
    )
