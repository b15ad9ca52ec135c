"""Why a runtime did not run a file, and what helps, recognised from the runtime's own messages.

The first entry of CAUSES whose pattern matches counts. The patterns are for onnxruntime 1.31, LiteRT 2.3, OpenVINO
2026.4 and the agent; older versions have mostly the same messages. A message that no entry matches is shown as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile.versions import oldest_onnxruntime
from edgebench.schema.record import Outcome

Kind = Literal[
    "open sizes", "other sizes", "external data", "operator", "type", "too new", "no model", "memory", "crash",
    "wrong answers", "fallback", "hang", "data-dependent sizes", "sizes that do not fit", "invalid", "golden inputs",
    "fed numbers", "unknown",
]  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """pattern: for the runtime's message; its groups fill the blanks of `seen` and `remedy`."""

    kind: Kind
    pattern: str
    seen: str
    remedy: str


@dataclass(frozen=True)
class Explained:
    kind: Kind
    seen: str
    remedy: str


_MEMORY = "Give it smaller sizes, or a file with smaller weights (INT8), or measure it on a device with more memory"
_OTHER_SIZES = (
    "Feed it sizes that it accepts (--shape, if it leaves some open): many need multiples of 32, and some compute "
    "sizes from their input values, which are made up unless you give them (--inputs FILE.npz)"
)
# What the agent says of a worker that it found ended so (process.py).
_FOR_MEMORY = "the kernel ended it for want of memory"
_ILLEGAL = "illegal instruction: this build needs"
_OUT_OF_MEMORY = r"std::bad_alloc|bad allocation|MemoryError|[Uu]nable to allocate|[Oo]ut of memory"

CAUSES: tuple[Cause, ...] = (
    # ---- sizes
    Cause(
        "open sizes", r"input '(?P<input>.+?)' leaves sizes open, (?P<shape>\[.*?\])",
        "it leaves sizes of '{input}' open: {shape}",
        "Give the sizes that your application uses: --shape {input}=...",
    ),
    Cause(
        "other sizes", r"input '(?P<input>.+?)' is (?P<shape>\[.*?\]), not (?P<given>\[.*?\])",
        "its input '{input}' is {shape}, and --shape gives {given}", "Set only open sizes",
    ),
    Cause(
        "data-dependent sizes", r"but the computed output shape is|output shape .* does not match|OrtValue shape verif",
        "the size of an output depends on the input's values, although the file says otherwise",
        "Export it again without fixed sizes for its outputs",
    ),
    # ---- files
    Cause(
        "external data", r"(?i)external data.*?(?:does not exist|not found|no such file|escapes|cannot be|failed)",
        "its weights file is missing beside it",
        "Put both into one folder, under their original names",
    ),
    Cause(
        "no model",
        r"INVALID_PROTOBUF|Protobuf parsing failed|not a valid Flatbuffer|has model identifier|does not have a graph"
        r"|Could not open '|mmap of '|Model can't be parsed|Unable to read the model",
        "its content is not a network, or only part of one", "Export, download or copy it again",
    ),
    # ---- operators
    Cause(
        "operator", r"unresolved custom op: edgetpu-custom-op",
        "it was compiled for an Edge TPU (operator edgetpu-custom-op)",
        "Deploy the file that edgetpu_compiler was given: this one runs only on a Coral",
    ),
    Cause(
        "operator", r"unresolved custom op: ethos-u",
        "it was compiled for an Arm Ethos-U (operator ethos-u)",
        "Deploy the file that Vela was given: this one runs only on that processor",
    ),
    Cause(
        "operator", r"Select TensorFlow op.*\((?P<operator>Flex\w+)\)",
        "its operator {operator} is one of TensorFlow's own (Select TF ops, Flex), which no LiteRT package brings",
        "Convert it without SELECT_TF_OPS, or replace the operator in the network",
    ),
    Cause(
        "operator", r"unresolved custom op: (?P<operator>[\w:/-]+)",
        "its operator {operator} is a custom one, and the runtime does not have it",
        "It runs only in the application that provides this operator; export the network without it to measure it here",
    ),
    Cause(
        "operator", r"No conversion rule found for operations: (?P<operator>[\w.:-]+(?:, [\w.:-]+)*)",
        "OpenVINO does not have its operators: {operator}",
        "Measure it with another runtime (--runtimes), or export the network without them",
    ),
    Cause(
        "operator", r"No translator found for (?P<operator>[\w./:-]+) node",
        "OpenVINO does not have its operators: {operator}",
        "Measure it with another runtime (--runtimes), or export the network without them",
    ),
    Cause(
        "operator", r"Failed operations detailed log:\s*-- (?P<operator>[\w./:-]+?)(?:-\d+)? with a message",
        "OpenVINO cannot convert its operator {operator}",
        "Measure it with another runtime (--runtimes); onnxsim may make the sizes known that OpenVINO needs",
    ),
    Cause(
        "operator", r"dev/plugin\.cpp:\d+:\s+object is not initialized",
        "OpenVINO has no code for it on this processor",
        "Measure it with another runtime (--runtimes), or its fp32 file: INT8 was seen to fail so on a Cortex-A72",
    ),
    Cause(
        "operator", r"ncnn does not have its layers: (?P<operator>[\w.:-]+(?:, [\w.:-]+)*)",
        "ncnn does not have its layers: {operator}",
        "Measure the network with another runtime, or export it without them; a newer ncnn may have them",
    ),
    Cause(
        "operator", r"has no kernel for one of its operators \(error 0x14\): (?P<operator>[\w.:-]+(?:, [\w.:-]+)*)",
        "ExecuTorch has no kernel for one of its operators, {operator}",
        "Export the network without it: ExecuTorch has those of its portable library only",
    ),
    Cause(
        "operator", r"it needs (?P<backend>\w+(?:, \w+)*), and this build has only (?P<known>\w*(?:, \w+)*)",
        "it was made for {backend}, and ExecuTorch's package has only {known}",
        "Make it for XNNPACK: edgebench export --formats executorch-fp32",
    ),
    Cause(
        "no model", r"not a program of ExecuTorch", "its content is not a program of ExecuTorch, or only part of one",
        "Export, download or copy it again",
    ),
    Cause(
        "sizes that do not fit", r"ncnn stops with status (?P<status>-?\d+)", "ncnn stops with status {status}",
        _OTHER_SIZES,
    ),
    Cause("sizes that do not fit", r"MNN stops without an answer", "MNN stops without an answer", _OTHER_SIZES),
    Cause(
        "no model", r"not a network of MNN", "its content is not a network of MNN, or only part of one",
        "Convert, download or copy it again",
    ),
    Cause(
        "operator", r"builtin opcode '(?P<operator>\w+)' version '(?P<version>\d+)'",
        "its operator {operator} is of version {version}, newer than the runtime",
        "Update LiteRT on the device, or convert it with an older converter",
    ),
    Cause(
        "operator", r"(?P<domain>com\.microsoft[\w.]*):(?P<operator>\w+)\(-?\d+\) is not a registered",
        "the runtime does not know its operator {operator} of {domain}",
        "It is onnxruntime's own: update onnxruntime there, or export the network before it is optimised for a runtime",
    ),
    Cause(
        "operator", r"(?P<domain>[\w.-]+):(?P<operator>\w+)\(-?\d+\) is not a registered",
        "its operator {operator} is a custom one, of '{domain}', and the runtime does not have it",
        "It needs a library from its makers; export the network without it to measure it here",
    ),
    Cause(
        "operator", r"No Op registered for (?P<operator>\S+) with domain_version of (?P<version>\d+)",
        "the runtime does not know its operator {operator} in opset {version}",
        "Update the runtime on the device; if that is recent, ONNX has no such operator in this opset: export it again",
    ),
    Cause(
        "operator", r"Could not find an implementation for (?P<operator>\w+)\((?P<version>\d+)\)",
        "the runtime has no code for its operator {operator}, version {version}, with these types",
        "Export it in float32 and with a newer opset (onnx.version_converter updates old files), or measure it with "
        "another runtime",
    ),
    Cause(
        "operator",
        r"(?:supported currently, got|[Tt]ype) (?P<type>[A-Z]\w+)\b.*Node number \d+ \((?P<operator>\w+)\) failed",
        "its operator {operator} does not take {type} in this runtime",
        "Convert the network with float32 or INT8 there, or update LiteRT on the device",
    ),
    # ---- types
    Cause(
        "type", r"input '(?P<input>.+?)' is an? (?P<type>.+?), which cannot be fed",
        "its input '{input}' is of type {type}, and only arrays of plain numbers can be fed",
        "Export the network with numeric inputs, and keep earlier stages (strings, sequences) in the application",
    ),
    # ---- versions
    Cause(
        "too new", r"Unsupported model IR version: (?P<ir>\d+), max supported IR version: (?P<newest>\d+)",
        "it has IR version {ir}, and this runtime reads up to {newest}",
        "Update it there ({reads_it} reads IR version {ir}), or write it with an older `ir_version`",
    ),
    Cause(
        "too new", r"Opset (?P<opset>\d+) is under development.*?domain (?P<domain>\S+) is till opset (?P<newest>\d+)",
        "it has opset {opset} of {domain}, and this runtime reads up to {newest}",
        "Update it there ({reads_it} reads opset {opset}), or export it with opset {newest}",
    ),
    # ---- memory
    Cause(
        "memory", r"Failed to allocate memory for requested buffer of size (?P<bytes>\d+)",
        "there is not enough memory for it: it requested {bytes} bytes at once", _MEMORY,
    ),
    Cause(
        "memory",
        _FOR_MEMORY + r", it held (?P<held>[\d.]+ MB), its group of processes \(cgroup\) may have (?P<limit>[\d.]+ MB)",
        "the kernel ended its process for want of memory: it held {held}, its group of processes (cgroup) may have "
        "{limit}",
        f"Raise that limit there (MemoryMax= of systemd, --memory of docker). {_MEMORY}",
    ),
    Cause(
        "memory", _FOR_MEMORY + r", it held (?P<held>[\d.]+ MB), this device has (?P<all>[\d.]+ MB)",
        "the kernel ended its process for want of memory: it held {held}, of {all} that the device has",
        f"Close other programs there. {_MEMORY}",
    ),
    Cause("memory", _OUT_OF_MEMORY, "there is not enough memory for it", _MEMORY),
    # ---- processors
    Cause(
        "crash",
        r"illegal instruction: this build needs instructions that this processor lacks \(it has: (?P<has>.*?)\)(?:;|$)",
        "illegal instruction: this build needs instructions that this processor lacks (it has: {has})",
        "Use another runtime (--runtimes), an older version of this one, or a build for this processor",
    ),
    # ---- invalid networks
    Cause(
        "type", r"Invalid data-type for array",
        "its inputs or outputs have a type without arrays here (bfloat16, or a few bits)",
        "Export the network with float32 or int8 inputs and outputs",
    ),
    Cause(
        "invalid", r"Type Error: (?P<what>.+?is invalid)", "it is not a valid network: {what}",
        "Fix its export: onnx.checker.check_model reports the same",
    ),
    Cause(
        "invalid", r"Invalid model\. (?P<what>[^.]+)", "it is not a valid network: {what}",
        "Fix its export: onnx.checker.check_model reports the same",
    ),
    Cause(
        "golden inputs", r"a sample has (?P<own>\d+) bytes, the model takes (?P<taken>\d+)",
        "its golden inputs have {own} bytes each, but it takes {taken}", "Export the bundle again",
    ),
    Cause(
        "sizes that do not fit",
        r"while running (?P<operator>\w+) node.*?(?P<what>(?:The input tensor cannot be reshaped"
        r"|Attempting to broadcast|[\w ]*dimension|[\w ]*[Ss]hape)[^\n]*)",
        "the sizes at its operator {operator} do not match: {what}",
        _OTHER_SIZES,
    ),
    Cause(
        "fed numbers", r"while running (?P<operator>\w+) node.*?Status Message: (?P<what>[^\n]+)",
        "it fails at its operator {operator}: {what}",
        "It was fed made-up numbers (zeros for integers), which it may not accept; or it needs other sizes (--shape)",
    ),
    Cause(
        "sizes that do not fit", r"(?P<what>\([^()]* != [^()]*\)).*Node number \d+ \((?P<operator>\w+)\) failed",
        "the sizes at its operator {operator} do not match {what}",
        _OTHER_SIZES,
    ),
)  # fmt: skip

# Signal: (kind, explanation, remedy)
_BY_SIGNAL: dict[str, tuple[Kind, str, str]] = {
    "SIGKILL": ("memory", "the system ended its process, as it does when memory runs out", _MEMORY),
    "SIGILL": (
        "crash", "the runtime uses an instruction that this processor does not have",
        "Use a build of the runtime for this processor, or an older one",
    ),
}  # fmt: skip
WRONG = "It answers differently than at export: update the runtime, or export it again"
_BY_KIND: dict[str, tuple[Kind, str]] = {
    "wrong": ("wrong answers", WRONG),
    "fallback": (
        "fallback", "Export it without them (inspect shows which), or measure it on the CPU; it was not timed like this"
    ),
    "crashed": ("crash", "It crashes its runtime: export it again, and do not load it in an application"),
    "timeout": ("hang", "It hangs: try it alone, or use a faster device"),
    "error": ("unknown", "`edgebench inspect FILE` shows its content: compare that with the runtime's message"),
}  # fmt: skip


def explain(outcome: Outcome) -> Explained:
    """outcome: of a measurement that failed."""
    if outcome.kind in ("wrong", "fallback", "timeout"):
        kind, remedy = _BY_KIND[outcome.kind]
        return Explained(kind, plain_excerpt(outcome.reason), remedy)
    if outcome.signal in _BY_SIGNAL and not any(one in outcome.reason for one in (_FOR_MEMORY, _ILLEGAL)):
        kind, seen, remedy = _BY_SIGNAL[outcome.signal]
        return Explained(kind, f"{seen} ({outcome.signal})", remedy)
    found = of_words(outcome.reason)
    if found.kind != "unknown" or outcome.kind != "crashed":
        return found
    kind, remedy = _BY_KIND["crashed"]
    return Explained(kind, found.seen, remedy)


def of_words(words: str) -> Explained:
    """Explains the message of a runtime that refuses a file."""
    for cause in CAUSES:
        match = re.search(cause.pattern, words, re.DOTALL)
        if match:
            blanks = {name: _without_places(found)[:200] for name, found in match.groupdict().items()}
            if cause.kind == "too new":
                blanks["reads_it"] = _reads_it(int(blanks.get("opset", 0)), int(blanks.get("ir", 0)))
            return Explained(cause.kind, cause.seen.format(**blanks), cause.remedy.format(**blanks))
    kind, remedy = _BY_KIND["error"]
    return Explained(kind, _without_places(words), remedy)


def _reads_it(opset: int, ir_version: int) -> str:
    known = oldest_onnxruntime(opset, ir_version)
    return "no tested onnxruntime" if known.startswith("newer") else f"{known} or newer"


def _without_places(words: str) -> str:
    """Without source locations of the runtime at the beginning, and without the type of exception."""
    words = re.sub(r"^\w+: \[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(words.split()))
    return plain_excerpt(re.sub(r"\S+\.(?:cc|h):\d+ .*?[)>] (?=\S)", "", words))
