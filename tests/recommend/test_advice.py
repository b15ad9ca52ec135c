"""Which file is worth deploying on a board: what is said, and what it is said by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edgebench.device import emulator
from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.networks import models
from edgebench.progress import Silent
from edgebench.recommend import advice, counting, counts
from edgebench.recommend.advice import KINDS, TargetCosts, kind_of
from edgebench.recommend.counts import Count, CountTable
from edgebench.schema.bundle import Artifact, FileRef, Format, Precision
from edgebench.schema.inspection import Layer, NetworkInFile
from exporters import Kernels

FILES: tuple[tuple[Format, Precision], ...] = (
    ("onnx", "fp32"), ("onnx", "int8"), ("tflite", "fp32"), ("tflite", "int8"),
)  # fmt: skip
COUNTED = {"onnx-fp32": 12, "onnx-int8": 4, "tflite-fp32": 3, "tflite-int8": 5}


def artifacts(model: str, macs: int) -> list[Artifact]:
    content = FileRef("file.onnx", "0" * 64, 1)
    return [
        Artifact(
            f"{model}-{format_}-{precision}", format_, precision, content, model, macs=macs,
            notes=Kernels(x86=False).notes if (format_, precision) == ("onnx", "int8") else {},
        )
        for format_, precision in FILES
    ]  # fmt: skip


def table(network: str, macs: int, kind: str) -> CountTable:
    counts = [
        Count(
            board="rpi4",
            network=network,
            input_shape=(3, 32, 32),
            macs=macs,
            kind=kind,
            format=format_,
            precision=precision,
            form="u8s8" if (format_, precision) == ("onnx", "int8") else "",
            runtime=f"{format_} runtime 1.0",
            instructions=COUNTED[f"{format_}-{precision}"] * 1_000_000,
        )
        for format_, precision in FILES
    ]
    signed = msgspec.structs.replace(counts[1], form="s8s8", instructions=5_000_000)
    return CountTable("2026-11-27", (*counts, signed))


def network(*layers: tuple[str, tuple[int, ...], int], facts: dict[str, str] | None = None) -> NetworkInFile:
    """Layers as (operator, output shape, weights); each with weights has MACs."""
    made = tuple(
        Layer(
            number, f"layer{number}", operator, shape, "float32", 4, weights or None, weights=weights,
            grouped=operator in GROUPED,
        )
        for number, (operator, shape, weights) in enumerate(layers, 1)
    )  # fmt: skip
    return NetworkInFile(facts or {}, (), (), (), made, {}, 0, 0, 1000, None, (), ())


STEM = ("Conv", (1, 16, 8, 8), 16 * 3 * 9)
DEPTHWISE = ("Conv in groups", (1, 16, 8, 8), 16 * 9)
GROUPED = (DEPTHWISE[0], "DEPTHWISE_CONV_2D")
POINTWISE = ("Conv", (1, 96, 8, 8), 16 * 96)
HEAD = ("Gemm", (1, 10), 960)


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ([HEAD, HEAD], "linear"),
        ([STEM, POINTWISE, HEAD], "plain"),
        ([("Conv", (1, 16, 8, 8), 16 * 9), POINTWISE, HEAD], "plain"),  # the stem of grey images
        ([STEM, DEPTHWISE, POINTWISE, HEAD], "depthwise"),
        ([STEM, ("DEPTHWISE_CONV_2D", (1, 16, 16, 8), 72), HEAD], "depthwise"),
        ([STEM, DEPTHWISE, ("Sigmoid", (1, 8, 1, 1), 0), HEAD], "depthwise"),  # a gate, one number a channel
        ([STEM, DEPTHWISE, ("Sigmoid", (1, 8, 16, 16), 0), HEAD], "depthwise-sigmoid"),
        ([STEM, DEPTHWISE, ("LOGISTIC", (1, 16, 16, 8), 0), HEAD], "depthwise-sigmoid"),
    ],
)
def test_networks_of_one_kind_have_the_same_kernels(
    layers: Sequence[tuple[str, tuple[int, ...], int]], kind: str
) -> None:
    assert kind_of(network(*layers)) == kind
    assert kind in KINDS


def test_int8_that_gains_next_to_nothing_is_not_worth_its_accuracy() -> None:
    precisions = {"float": "fp32", "half": "fp16", "bytes": "int8"}
    for cost, worth in ((95, "float"), (91, "float"), (89, "bytes"), (30, "bytes")):
        found = TargetCosts("rpi4", {"float": 100, "half": 120, "bytes": cost}, "M instructions", "counted")
        assert found.worth(precisions) == worth
    assert TargetCosts("rpi4", {"bytes": 5}, "M instructions", "counted").worth(precisions) == "bytes"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "table", lambda: table("mobilenetv2", 6_000_000, "depthwise"))


def told(
    model: str, macs: int, found: NetworkInFile | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> advice.Advice:
    monkeypatch.setattr(advice, "_read", lambda *_: found)
    return advice.advise(
        {"rpi4": "rpi4"}, artifacts(model, macs), tmp_path, tmp_path, emulate=False, progress=Silent()
    )  # fmt: skip


@pytest.mark.usefixtures("looked")
def test_a_network_that_was_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = told(
        "mobilenetv2", 6_000_000, network(STEM, facts={"loads from": "onnxruntime 1.16"}), monkeypatch, tmp_path
    )
    text = "\n".join(found.lines)
    assert found.lines[0] == "for rpi4: mobilenetv2-tflite-fp32"
    assert "counted for this network on the emulated cortex-a72, 2026-11-27" in text.replace("Counted", "counted")
    assert "ONNX INT8 is u8s8; instructions relative to it: as s8s8 1.25" in text
    assert "needs onnxruntime 1.16 or newer (Debian 11 has 1.19)" in text
    assert "--emulate" not in text
    assert found.notes["mobilenetv2-tflite-fp32"]["for_rpi4"].startswith(
        "worth deploying: 3 M instructions; counted for"
    )
    assert found.notes["mobilenetv2-onnx-fp32"]["for_rpi4"].startswith("12 M instructions; counted for")


@pytest.mark.usefixtures("looked")
def test_a_file_with_signed_activations_has_counts_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(advice, "_read", lambda *_: None)
    files = [
        msgspec.structs.replace(file, notes=Kernels(signed=True, x86=False).notes if file.notes else {})
        for file in artifacts("mobilenetv2", 6_000_000)
    ]
    said = advice.advise({"rpi4": "rpi4"}, files, tmp_path, tmp_path, emulate=False, progress=Silent())
    assert said.notes["mobilenetv2-onnx-int8"]["for_rpi4"].startswith("5 M instructions")
    assert "ONNX INT8 is s8s8; instructions relative to it: as u8s8 0.80" in "\n".join(said.lines)
    assert counts.of_forms("mobilenetv2") == {"rpi4": {"u8s8": 4_000_000, "s8s8": 5_000_000}}


@pytest.mark.usefixtures("looked")
def test_a_network_of_the_same_kind_is_said_to_be_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pruned one too: of the same name, and no longer the one that was counted."""
    for model in ("theirs", "mobilenetv2"):
        found = told(model, 3_000_000, network(STEM, DEPTHWISE, HEAD), monkeypatch, tmp_path)
        text = " ".join(found.lines)
        assert (
            "mobilenetv2 (6 M MACs), which is of the same kind (depthwise convolutions; this network has 3 M)" in text
        )
        assert "This network itself was not counted; --emulate counts it" in text


@pytest.mark.usefixtures("looked")
def test_without_evidence_there_is_no_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for found in (network(STEM, POINTWISE, HEAD), None):
        said = told("theirs", 3_000_000, found, monkeypatch, tmp_path)
        assert said.lines[0] == "for rpi4: no similar network was counted; --emulate counts this one"
        assert not any(said.notes.values())


def test_a_file_that_is_too_new_for_an_old_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    newer = network(STEM, facts={"loads from": "onnxruntime 1.22"})
    assert "Debian 11 has 1.19: export it with opset 17" in told("theirs", 1, newer, monkeypatch, tmp_path).lines[-1]


def test_these_files_are_counted_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    asked = []

    def count(sources: Sequence[object], board: str, *, progress: object) -> dict[str, tuple[int, str]]:
        asked.append((len(sources), board))
        return {f"theirs-{name}": (number * 1_000_000, "runtime 1.0") for name, number in COUNTED.items()}

    monkeypatch.setattr(counting, "count", count)
    monkeypatch.setattr(advice, "_read", lambda *_: None)
    said = advice.advise(
        {"rpi5": "rpi5"}, artifacts("theirs", 1), tmp_path, tmp_path, emulate=True, progress=Silent()
    )  # fmt: skip
    assert asked == [(4, "rpi5")]
    assert said.lines[0] == "for rpi5: theirs-tflite-fp32"
    assert any("Counted for these files on the emulated cortex-a76 (runtime 1.0)" in line for line in said.lines)


def test_what_is_not_known_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is known about what is fast on 'toaster'"):
        export(tmp_path / "nothing.safetensors", ExportOptions(targets=["toaster"]))
    with pytest.raises(UserError, match="no board is named to emulate"):
        export(tmp_path / "nothing.safetensors", ExportOptions(emulate=True))


def test_the_table_holds_every_file_of_a_network_on_every_board() -> None:
    known = counts.table().counts
    networks = {one.network for one in known}
    assert {"mlp-small", "mobilenetv2", "efficientnet-b0"} <= networks <= set(models.names())
    for board in emulator.BOARDS:
        for name in networks:
            mine = [one for one in known if (one.board, one.network) == (board, name)]
            variants = {(one.format, one.precision, one.form) for one in mine}
            assert variants == {
                ("onnx", "fp32", ""), ("onnx", "int8", "u8s8"), ("onnx", "int8", "s8s8"), ("onnx", "int8", "u8s8-wide"),
                ("tflite", "fp32", ""), ("tflite", "int8", ""),
            }  # fmt: skip
            assert all(one.instructions > 0 and one.kind in KINDS for one in mine)


def test_the_kinds_of_the_table_are_those_of_the_networks() -> None:
    """Not: whose shortcuts have fewer weights than the layer before them would need."""
    nn = pytest.importorskip("torch").nn
    for name, shape, kind in {(one.network, one.input_shape, one.kind) for one in counts.table().counts}:
        modules = list(models.build(name, shape, 10).modules())
        grouped = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in modules)
        plain = not grouped and any(isinstance(module, nn.Conv2d) for module in modules)
        assert kind.startswith("depthwise") == grouped
        assert (kind == "plain") == plain


def test_the_table_is_of_the_networks_as_they_are_now() -> None:
    pytest.importorskip("torch")
    for name, shape, macs in {(one.network, one.input_shape, one.macs) for one in counts.table().counts}:
        channels, height, width = shape
        assert models.describe(name, (channels, height, width), 10).macs == macs
