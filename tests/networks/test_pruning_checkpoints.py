"""`prune` from checkpoint to checkpoint, and as typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench.errors import UserError
from edgebench.networks import data, models, pruning, sparsity, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.pruning import dead_taps
from edgebench.prune import prune
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from tests.conftest import run_cli
from tests.support.prunings import GREY, masks, nonzeros
from tests.support.prunings import quick as quick
from tests.support.prunings import small as small

torch = pytest.importorskip("torch")


def save(name: str, path: Path, shape: models.InputShape = GREY, **arguments: Any) -> Checkpoint:
    """An untrained network as a checkpoint."""
    torch.manual_seed(0)
    network = models.build(name, shape, 10, **arguments)
    images = data.load("fashion-mnist-mini")
    about = checkpoint.Metadata(
        model=name,
        dataset="fashion-mnist-mini",
        input_shape=shape,
        class_names=images.class_names,
        preprocessing=images.preprocessing,
        size=models.count(network, shape),
        metrics=training.evaluate(network, images.test, images.preprocessing),
        arguments=arguments,
    )
    return checkpoint.save(network, about, path)


# ------------------------------------------------------------------ from checkpoint to checkpoint


@pytest.fixture
def dense(quick: Dataset, tmp_path: Path) -> Checkpoint:
    return save("ultralight", tmp_path / "net.safetensors")


def test_zeros_survive_the_fine_tuning_and_are_counted(dense: Checkpoint) -> None:
    pruned = prune(dense.path, method="l1-global", ratio=0.5, finetune=2, out=dense.path.parent)
    assert pruned.path.name == "net-l1-global.safetensors"
    step = checkpoint.load(pruned.path).about.pruning[0]
    assert (step.form, step.ratio, step.finetune_epochs, step.parent) == ("baked", 0.5, 2, dense.digest)
    assert (step.weights, step.nonzero) == (101_792, 50_896)
    assert step.before == step.after
    cut = rebuild(dense)
    pruning.apply("l1-global", cut, 0.5, GREY)
    left, tuned = masks(cut), rebuild(pruned.checkpoint)
    assert all(torch.equal(left[name], kept) for name, kept in masks(tuned).items())
    assert not torch.equal(tuned.hidden.weight, cut.hidden.weight)
    assert "50,896 of 101,792 weights non-zero" in str(pruned)


def test_earlier_zeros_survive_a_later_pruning(dense: Checkpoint) -> None:
    """Fine-tuning after channels went must not fill what l1-global had emptied."""
    sparse = prune(dense.path, method="l1-global", ratio=0.5, finetune=0, out=dense.path.parent)
    narrow = prune(sparse.path, method="channels", ratio=0.3, finetune=1, out=dense.path.parent)
    cut = rebuild(sparse.checkpoint)
    pruning.apply("channels", cut, 0.3, GREY)
    assert nonzeros(rebuild(narrow.checkpoint)) == nonzeros(cut)
    assert sparsity.table_of(narrow.path).effective > 0.5


@pytest.mark.parametrize("method", ["set", "l1-uniform"])
def test_set_can_fine_tune_too(dense: Checkpoint, method: str) -> None:
    pruned = prune(dense.path, method=method, ratio=0.5, finetune=2, out=dense.path.parent)
    rows = {row.layer: row.nonzero for row in sparsity.table(rebuild(pruned.checkpoint), GREY).rows}
    assert rows["hidden"] + rows["classifier"] == (100_352 + 640) // 2


def test_options_are_kept_with_their_defaults(dense: Checkpoint) -> None:
    options = {"criterion": "hybrid", "round_to": "8"}
    pruned = prune(dense.path, ratio=0.3, options=options, finetune=0, out=dense.path.parent)
    assert pruned.step.options == {"criterion": "hybrid", "round_to": 8}
    assert pruned.step.form == "smaller" and pruned.step.weights == pruned.step.nonzero == 57_600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "dead-taps", "ratio": 0.3}, "--ratio: pruning method 'dead-taps' takes no ratio"),
        ({"method": "dead-taps", "finetune": 3}, "--finetune: 'dead-taps' changes no answer"),
        ({"method": "dead-taps"}, "no kernel has a tap that meets only padding"),
        ({"options": {"criterium": "l1"}}, "Did you mean 'criterion'"),
        ({"recipe": "finetun"}, "Did you mean 'finetune'"),
        ({"method": "l1-hidden"}, "none of its 2 linear layers"),
    ],
)
def test_bad_arguments_save_nothing(dense: Checkpoint, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        prune(dense.path, out=dense.path.parent / "out.safetensors", **arguments)
    assert [path.name for path in dense.path.parent.iterdir()] == ["net.safetensors"]


def test_pruning_to_the_same_zeros_again_is_refused(dense: Checkpoint) -> None:
    once = prune(dense.path, method="l1-global", ratio=0.5, finetune=0, out=dense.path.parent)
    with pytest.raises(UserError, match="left 50,896 of 50,896 weights non-zero"):
        prune(once.path, method="l1-global", ratio=0.3, out=dense.path.parent)


# ------------------------------------------------------------------ dead taps, to the end


@pytest.fixture
def resnet(quick: Dataset, tmp_path: Path) -> Checkpoint:
    return save("resnet18", tmp_path / "resnet.safetensors")


def test_a_network_without_dead_taps_is_rebuilt(resnet: Checkpoint) -> None:
    cut = prune(resnet.path, method="dead-taps", out=resnet.path.parent)
    step = checkpoint.load(cut.path).about.pruning[0]
    assert (step.form, step.finetune_epochs, step.weights) == ("smaller", 0, 4_218_944)
    assert step.after.parameters == 4_228_554
    assert cut.checkpoint.about.metrics.accuracy == resnet.about.metrics.accuracy
    assert cut.size_bytes_after < 17.1e6
    images = torch.randn(2, *GREY)
    network = rebuild(cut.checkpoint)
    with torch.inference_mode():
        assert float((network(images) - rebuild(resnet)(images)).abs().max()) < 1e-5
    assert network.layer4[0].conv1.kernel_size == (2, 2) and network.layer4[0].conv1.padding == (0, 0)
    assert sparsity.table_of(cut.path).effective == pytest.approx(1 - 4_218_944 / 11_165_760)

    narrow = prune(cut.path, ratio=0.3, finetune=0, out=resnet.path.parent)
    assert rebuild(narrow.checkpoint)(images).shape == (2, 10)


def test_a_method_that_says_lossless_and_is_not_is_refused(resnet: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dead_taps.shrink

    def careless(model: Any, input_shape: models.InputShape) -> Any:
        cuts = real(model, input_shape)
        with torch.no_grad():
            model.fc.bias[3] += 1e-3
        return cuts

    monkeypatch.setattr(dead_taps, "shrink", careless)
    with pytest.raises(UserError, match="moved answers .* more than rounding"):
        prune(resnet.path, method="dead-taps", out=resnet.path.parent)
    assert len(list(resnet.path.parent.iterdir())) == 1


@pytest.mark.parametrize("padding", [{"layer9.conv": [0, 0]}, {"conv1": [0]}, {"conv1": "same"}, [1, 2]])
def test_padding_that_fits_no_layer_is_a_bad_file(quick: Dataset, tmp_path: Path, padding: Any) -> None:
    made = save("ultralight", tmp_path / "net.safetensors")
    once = prune(made.path, finetune=0, out=tmp_path)
    step = msgspec.structs.replace(once.step, options={"padding": padding})
    about = msgspec.structs.replace(once.checkpoint.about, pruning=(step,))
    odd = checkpoint.save(rebuild(once.checkpoint), about, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match="do not fit the model"):
        rebuild(odd)


@pytest.mark.slow
@pytest.mark.export
def test_a_network_without_dead_taps_is_exported(quick: Dataset, tmp_path: Path) -> None:
    """Export checks every file's answers against the checkpoint's own."""
    from edgebench.export import ExportOptions, export

    dense = save("mobilenetv2", tmp_path / "net.safetensors")
    cut = prune(dense.path, method="dead-taps", out=tmp_path)
    made = export(cut.path, ExportOptions(formats=["onnx-fp32", "tflite-fp32"]), out=tmp_path / "bundle")
    assert {path.name for path in made.path.iterdir()} >= {"onnx-fp32.onnx", "tflite-fp32.tflite"}


# ------------------------------------------------------------------ as typed


def test_the_program_prunes_and_shows_it(tmp_path: Path) -> None:
    save("mlp-small", tmp_path / "net.safetensors")
    done = run_cli(
        *("prune", "net.safetensors", "--method", "l1-uniform", "--ratio", "0.5", "--option", "layers=all"),
        *("--finetune", "0", "--out", "half.safetensors"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    shown = run_cli("sparsity", "half.safetensors", "--csv", "layers.csv", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "50.00% of the dense network's 12,960 weights" in " ".join(shown.stdout.split())
    assert (tmp_path / "layers.csv").is_file()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("prune net.safetensors --method l1-globl", "Did you mean 'l1-global'"),
        ("prune net.safetensors --option criterion", "NAME=VALUE"),
        ("sparsity net.onnx", "not a safetensors file"),
    ],
)
def test_what_is_typed_wrong_is_told(tmp_path: Path, typed: str, words: str) -> None:
    save("mlp-small", tmp_path / "net.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00onnxonnx")
    done = run_cli(*typed.split(), cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.split())


def test_the_table_of_a_deep_network_fits_a_terminal() -> None:
    import io

    from rich.console import Console

    from edgebench.cli import _sparsity_table

    with torch.device("meta"):
        made = sparsity.SparsityTable(
            tuple(
                sparsity.LayerSparsity(layer.name, 2_359_296, 1_234_567, 262_144, 200_000, 555_468_800, 222_000_000)
                for layer in sparsity.layers(models.build("resnet18", (3, 32, 32), 10), (3, 32, 32))
            ),
            11_172_032,
        )
    shown = io.StringIO()
    Console(file=shown, width=80).print(_sparsity_table.table(made))
    lines = shown.getvalue().splitlines()
    assert len(lines) == 23 and "layer4.1.conv2" in lines[-3]
    assert "…" in lines[8] and "2,359,296" in lines[8], "names are cut, numbers are not"
