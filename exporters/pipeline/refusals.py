"""What to say when a converter gives up: the operator or the reason, and which formats are left."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from edgebench.errors import UserError
from exporters import Choice
from exporters.workers.process import Failed

# How torch.onnx, litert-torch, onnx2tf, LiteRT and `torch_edit` report an operator that they do not support.
UNKNOWN_OPERATOR = re.compile(
    r"operator 'aten::(\w+)'|Lowering not found: aten\.(\w+)|No module named 'onnx2tf\.ops\.(\w+)'"
    r"|Didn't find op for builtin opcode '(\w+)'|UnknownOperator: (.+)|failed to legalize operation '([\w.]+)'"
)
DATA_DEPENDENT = re.compile(r"data-dependent|DataDependent|ConcretizationTypeError")


def explained(failure: Failed, source: str, choices: Sequence[Choice], folder: Path) -> UserError:
    """folder: the bundle's. The converter's log is copied beside it and outlives the export."""
    plugin = failure.log.stem
    remedy = _remedy(plugin, choices)
    if failure.log.is_file():
        log = folder.with_name(f"{folder.name}-{failure.log.name}")
        shutil.copyfile(failure.log, log)
        remedy = f"{remedy}; its log is {log}"
    return UserError(f"export of {source}", f"{plugin}: {_reason(failure)}", remedy)


def _reason(failure: Failed) -> str:
    if found := UNKNOWN_OPERATOR.search(failure.seen):
        name = found[found.lastindex or 0]
        said = "" if failure.seen == f"UnknownOperator: {name}" else f" ({failure.seen})"
        return f"it does not support the operator '{name}'{said}"
    if DATA_DEPENDENT.search(failure.seen):
        return f"the network takes different paths for different inputs, and a file holds only one ({failure.seen})"
    return failure.seen


def _remedy(plugin: str, choices: Sequence[Choice]) -> str:
    others = [choice.name for choice in choices if choice.plugin != plugin]
    if others:
        return f"Leave out what {plugin} makes: --formats {','.join(others)}"
    return "Choose formats of another route with --formats, or replace that part of the network"
