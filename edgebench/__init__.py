"""edgebench turns a trained network into files that edge devices run, runs them there, and says what they cost.

The one story, one module and one function each:

    train ──> checkpoint ──prune──> checkpoint ──export──> bundle ──deploy──> records ──compare──> report

From Python each step is the function of its name in the module of its name, `edgebench.deploy.deploy(...)`; a module is
imported when it is first named, so that `import edgebench` costs nothing. `edgebench.load(...)` gives records as a
pandas DataFrame.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime from 1.31 on tells its maker what it does, and writes into the user's home and /tmp; it looks at this
# when it is imported. Every process of edgebench imports this module first, and what it starts inherits it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from edgebench.analysis.frame import load as load
    from edgebench.schema.bundle import Bundle as Bundle
    from edgebench.schema.checkpoint import Checkpoint as Checkpoint
    from edgebench.schema.plan import Plan as Plan
    from edgebench.schema.record import Record as Record
    from edgebench.schema.targets import Target as Target

STEPS = (
    "train", "finetune", "prune", "evaluate", "pack", "export", "inspect", "deploy", "compare", "explain", "repeat",
    "publish", "results", "mcp", "selftest", "demo",
)  # fmt: skip
_NAMES = {
    "Bundle": "edgebench.schema.bundle",
    "Checkpoint": "edgebench.schema.checkpoint",
    "Plan": "edgebench.schema.plan",
    "Record": "edgebench.schema.record",
    "Target": "edgebench.schema.targets",
    "load": "edgebench.analysis.frame",
}


def __getattr__(name: str) -> Any:
    if name in STEPS:
        return importlib.import_module(f"edgebench.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'edgebench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *STEPS, *_NAMES])
