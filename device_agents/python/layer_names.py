"""Which layers of a network a runtime's layer is, by the names that exporters give to nodes and tensors."""

from __future__ import annotations

import difflib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 20
# "torchvision.ops.misc.Conv2dNormActivation_0": the class of a module, and its name in the module that holds it.
_SCOPE = re.compile(r"(?:\w+\.)+[A-Za-z0-9]+_(\w+)$")
_ROOT = re.compile(r"(?:\w+\.)+[A-Za-z0-9]+$")
# A module that only holds the user's, to change the layout of its input.
_WRAPPERS = ("wrapped",)
# What kind of work an operator of a file or a kernel does; the first that matches.
_WORK = (
    ("convert", r"convert|quantize|cast"), ("weights", r"conv|fullyconnected|gemm|matmul"), ("pool", r"pool"),
    ("mean", r"mean|reduce"),
    ("shape", r"reshape|squeeze|expanddims|flatten"), ("transpose", r"transpose"), ("pad", r"pad"),
    ("clamp", r"clamp|relu6?$|minimum|maximum"), ("add", r"add"),
    ("multiply", r"mul"), ("concatenate", r"concat"), ("resize", r"resize"), ("swish", r"swish"),
    ("sigmoid", r"sigmoid|logistic"), ("softmax", r"softmax"), ("subtract", r"sub"),
)  # fmt: skip


def layers_of(name: str) -> list[str]:
    """The layers that a node or tensor of this name belongs to: "features.0.0" of torch's names, else the name.

    TensorFlow and LiteRT join the names of what they fused with semicolons.
    """
    found = [_layer(part) for part in name.split(";") if part.strip() and (";" not in name or "/" in part)]
    return list(dict.fromkeys(one for one in found if one))[:MOST]


def _layer(name: str) -> str:
    parts = name.strip("/").split("/")
    if name.startswith("/") and len(parts) > 1:
        return _path(parts[:-1])
    scopes = [_SCOPE.match(part) for part in parts]
    if any(scopes) and _ROOT.match(parts[0]):
        path = [one.group(1) for one in scopes if one]
        return ".".join(path[1:] if path[0] in _WRAPPERS else path)
    return name


def _path(scopes: Sequence[str]) -> str:
    """features.0.block.1 of features, features.0, block, block.1: a member of a list has the list's name as well."""
    path, before = [], ""
    for scope in scopes:
        member = bool(before) and scope.startswith(before + ".")
        path.append(scope[len(before) + 1 :] if member else scope)
        before = scope
    return ".".join(path)


def of_kernels(kernels: Sequence[str], operators: Sequence[tuple[str, str]]) -> list[str]:
    """For each kernel the name of the operator of the file that it computes, "" if it was added.

    operators: (kind, name). Both are in the order in which they run: the longest runs of the same work.
    """
    first = [_work(one) for one in kernels]
    second = [_work(kind) for kind, _ in operators]
    found = [""] * len(kernels)
    for block in difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = operators[block.b + offset][1]
    return found


def _work(kind: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", kind.partition(" (")[0].lower())
    return next((work for work, pattern in _WORK if re.search(pattern, plain)), plain)
