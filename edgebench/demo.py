"""demo(): the whole story on one small real example, on this machine.

Real images that ship with edgebench, a network that trains in a minute, and the same agent that boards get.
"""

from __future__ import annotations

from pathlib import Path

from edgebench import compare
from edgebench.analysis import report
from edgebench.analysis.comparison import Comparison
from edgebench.deploy import artifacts_at, check_measured, deploy
from edgebench.export import ExportOptions, export
from edgebench.progress import Progress
from edgebench.prune import prune
from edgebench.schema import plan, targets
from edgebench.train import train

MODEL = "ultralight"
DATASET = "fashion-mnist-mini"


def demo(folder: Path, *, progress: Progress) -> tuple[Comparison, Path]:
    """Train, prune, export both networks, deploy to this machine's processor, compare; the report's path.

    Raises UserError if a file could not be measured.
    """
    dense = train(MODEL, DATASET, out=folder / "checkpoints" / "demo.safetensors", progress=progress)
    pruned = prune(
        dense.path,
        method="channels",
        ratio=0.3,
        options={"round_to": 16},  # kernels for x86 take channels by sixteen: other numbers are slower than none pruned
        finetune=5,
        out=folder / "checkpoints" / "demo-pruned.safetensors",
        progress=progress,
    )
    bundles = [
        export(source.path, ExportOptions(int8=True), out=folder / "bundles" / source.path.stem, progress=progress).path
        for source in (dense, pruned)
    ]
    target = targets.load("desktop-cpu", targets.find_file(None))
    results = folder / "results"
    wanted = artifacts_at(bundles)
    records = deploy(target, wanted, plan.named("quick"), results, progress=progress)
    comparison = compare.compare(records)
    report_path = results / "report.html"
    report.write(comparison, "html", report_path)
    check_measured(wanted, records)
    return comparison, report_path
