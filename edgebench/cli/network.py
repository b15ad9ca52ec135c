"""Commands that make and change networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgebench.cli import _own_data, _own_network
from edgebench.cli._terminal import (
    Carbon,
    Intensity,
    Json,
    check_outputs,
    console,
    example,
    leave_stdout_to,
    named_values,
    progress,
    say,
    say_written,
    write_json,
)

if TYPE_CHECKING:
    from edgebench.networks.pruning import PruningRequest
    from edgebench.schema.checkpoint import Checkpoint

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench train ultralight --dataset fashion-mnist-mini",
        "edgebench train mlp-small --dataset mnist --recipe plos-mlp --seeds 10",
        "edgebench train mlp-small --dataset mnist@10000 --method set --ratio 0.8",
        "edgebench train mobilenetv2 --dataset photos/ --resize 256 --crop 224 --preprocessing imagenet",
        "edgebench train mobilenetv2 --dataset photos/ --weights imagenet",
        "edgebench train my.models:make --dataset photos/ --weights best.pth",
    )
)
def train(
    model: Annotated[
        str,
        typer.Argument(
            help="Network, e.g. ultralight (see `edgebench models`); or package.module:callable, whose code is run."
        ),
    ],
    dataset: Annotated[
        str, typer.Option(help=f"{_own_data.DATA} mnist@10000 takes 10,000 of its images.")
    ] = "fashion-mnist-mini",
    recipe: Annotated[str, typer.Option(help="Training recipe: a name or a .yaml file.")] = "default",
    epochs: Annotated[int | None, typer.Option(help="Epochs, in place of the recipe's.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    seeds: Annotated[int, typer.Option(help="Number of trainings, with seeds from --seed on.", min=1)] = 1,
    argument: _own_network.Arguments = [],  # noqa: B006
    weights: _own_network.Weights = None,
    teacher: Annotated[Path | None, typer.Option(help="Teacher's checkpoint, for --recipe distil.")] = None,
    branches_from: Annotated[
        list[Path], typer.Option(help="Checkpoint for each branch, e.g. of dual-cnn; repeat it.", show_default=False)
    ] = [],  # noqa: B006
    method: Annotated[str | None, typer.Option(help="Prune from the first step on, e.g. set.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Share of the weights that are zero.")] = None,
    option: Annotated[
        list[str], typer.Option(help="NAME=VALUE, an option of the method; repeatable.", show_default=False)
    ] = [],  # noqa: B006
    hooks: Annotated[bool, typer.Option("--hooks", help="Multiply by masks instead of writing zeros.")] = False,
    carbon: Carbon = None,
    intensity: Intensity = None,
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write.")] = None,
    json: Json = None,
) -> None:
    """Train a network and save a checkpoint. If it was killed, the same command continues it."""
    from edgebench.networks import training
    from edgebench.train import TrainOptions, train_seeds
    from edgebench.train import train as run

    check_outputs(json)
    how: dict[str, Any] = {"recipe": recipe, "epochs": epochs, "out": out, "progress": progress()}
    options = TrainOptions(
        named_values("--argument", argument, "branches=1"),
        teacher,
        tuple(branches_from),
        _zeros(method, ratio, option, hooks=hooks),
        training.costing(carbon, intensity_g_per_kwh=intensity),
        preprocessing,
        _own_data.geometry(resize, crop, interpolation, antialias),
        weights,
    )
    dataset = str(_own_data.address(dataset, split_seed, skip_broken))
    if seeds == 1:
        trained = [run(model, dataset, seed=seed, options=options, **how)]
    else:
        trained = train_seeds(model, dataset, seeds=range(seed, seed + seeds), options=options, **how)
    for one in trained:
        say(str(one.path))
    write_json(json, [_described(one) for one in trained])


@app.command(
    epilog=example(
        "edgebench finetune checkpoints/ultralight.safetensors --epochs 5",
        "edgebench finetune my.models:make --weights best.pth --dataset photos/",
    )
)
def finetune(
    network: _own_network.Network,
    recipe: Annotated[str, typer.Option(help="Training recipe: a name or a .yaml file.")] = "finetune",
    epochs: Annotated[int | None, typer.Option(help="Epochs, in place of the recipe's.", min=1)] = None,
    dataset: _own_data.Another = None,
    weights: _own_network.Weights = None,
    argument: _own_network.Arguments = [],  # noqa: B006
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write.")] = None,
    json: Json = None,
) -> None:
    """Train a network further: the control for pruning, a dense network with the same number of epochs."""
    from edgebench.finetune import finetune as run

    check_outputs(json)
    start = _own_network.starting_point(
        network,
        _own_data.address(dataset, split_seed, skip_broken),
        weights=weights,
        arguments=argument,
        preprocessing=preprocessing,
        geometry=_own_data.geometry(resize, crop, interpolation, antialias),
    )
    tuned = run(start, recipe=recipe, epochs=epochs, out=out, progress=progress())
    say(str(tuned.path))
    write_json(json, _described(tuned))


@app.command(
    epilog=example(
        "edgebench prune checkpoints/ultralight.safetensors --ratio 0.3 --finetune 5",
        "edgebench prune checkpoints/resnet18.safetensors --method channels --option criterion=l1 --option round_to=1",
        "edgebench prune checkpoints/resnet18.safetensors --method dead-taps",
        "edgebench prune my.models:make --weights best.pth --dataset photos/ --ratio 0.5",
    )
)
def prune(
    network: _own_network.Network,
    method: Annotated[str, typer.Option(help="Pruning method.")] = "channels",
    ratio: Annotated[
        float | None,
        typer.Option(help="Share of channels or weights to remove; default: the method's.", min=0.01, max=0.99),
    ] = None,
    option: Annotated[
        list[str], typer.Option(help="NAME=VALUE, an option of the method; repeatable.", show_default=False)
    ] = [],  # noqa: B006
    recipe: Annotated[str, typer.Option(help="Fine-tuning recipe: a name or a .yaml file.")] = "finetune",
    finetune: Annotated[
        int | None, typer.Option(help="Fine-tuning epochs, in place of the recipe's; 0 for none.", min=0)
    ] = None,
    dataset: _own_data.Another = None,
    weights: _own_network.Weights = None,
    argument: _own_network.Arguments = [],  # noqa: B006
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write.")] = None,
    json: Json = None,
) -> None:
    """Remove channels, dead taps or single weights, fine-tune, and save a new checkpoint.

    A network that is not a checkpoint is saved as one first, with the accuracy that it has before pruning.
    """
    from edgebench.prune import prune as run

    check_outputs(json)
    start = _own_network.starting_point(
        network,
        _own_data.address(dataset, split_seed, skip_broken),
        weights=weights,
        arguments=argument,
        preprocessing=preprocessing,
        geometry=_own_data.geometry(resize, crop, interpolation, antialias),
    )
    pruned = run(
        start,
        method=method,
        ratio=ratio,
        options=named_values("--option", option, "criterion=l1"),
        recipe=recipe,
        finetune=finetune,
        out=out,
        progress=progress(),
    )
    say(str(pruned.path))
    write_json(json, _described(pruned.checkpoint))


@app.command(epilog=example("edgebench sparsity checkpoints/resnet18-l1-global.safetensors --csv layers.csv"))
def sparsity(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint from `edgebench train` or `edgebench prune`.")],
    csv: Annotated[Path | None, typer.Option(help="Write one line per layer.")] = None,
    json: Json = None,
) -> None:
    """Sparsity by layer: of all weights, and of those that ever see anything but padding."""
    from edgebench.cli import _sparsity_table
    from edgebench.networks import sparsity

    check_outputs(csv, json)
    made = sparsity.table_of(checkpoint)
    console().print(_sparsity_table.table(made))
    say(f"\n{_sparsity_table.summary(made)}")
    if csv:
        sparsity.write_csv(made, csv)
        say_written(csv)
    write_json(json, made)


@app.command(
    epilog=example(
        "edgebench pack checkpoints/resnet18-l1-global.safetensors",
        "edgebench pack checkpoints/resnet18-l1-global.safetensors --format bitmask --out resnet18.edgepack",
        "edgebench pack resnet18.edgepack --unpack",
    )
)
def pack(
    file: Annotated[Path, typer.Argument(help="Checkpoint, or with --unpack a packed file.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="Format; default: all, and huffman with --out.")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="Also with weights shared among 2^BITS values (lossy).")] = None,
    out: Annotated[Path | None, typer.Option(help="Packed file to write, or with --unpack the checkpoint.")] = None,
    unpack: Annotated[bool, typer.Option("--unpack", help="Restore the checkpoint.")] = False,
    json: Json = None,
) -> None:
    """Size of a checkpoint when its zeros are not stored; inference gets no faster."""
    from edgebench import pack
    from edgebench.cli import _packing_table
    from edgebench.errors import UserError

    if bits is not None and (unpack or out):
        raise UserError(
            "--bits", "the lossy form is only measured, never written", "Leave --bits out, or --out and --unpack"
        )
    if json and (unpack or out):
        raise UserError("--json", "--out and --unpack print no sizes", "Leave one of them out")
    check_outputs(json)
    if unpack:
        say(str(pack.unpack(file, out).path))
    elif out:
        leave_stdout_to(out)
        say_written(pack.pack(file, out, format_ or pack.DEFAULT_FORMAT))
    else:
        with progress().step("Packing, and unpacking to check"):
            found = pack.sizes(file, [format_] if format_ else None, shared_bits=bits)
        console().print(_packing_table.table(found))
        write_json(json, found)


@app.command(epilog=example("edgebench models --input 3x224x224 --classes 100"))
def models(
    shape: Annotated[str, typer.Option("--input", help="Input: channels x height x width.")] = "3x32x32",
    classes: Annotated[int, typer.Option(help="Number of classes.", min=2)] = 10,
    json: Json = None,
) -> None:
    """List the networks that can be trained, with parameters, MACs and bytes for an input."""
    from edgebench.cli import _network_table
    from edgebench.networks import models

    check_outputs(json)
    with progress().step("Building each network without memory"):
        listed = models.listing(models.parse_shape(shape), classes)
    console().print(_network_table.table(listed))
    write_json(json, listed)


def _described(made: Checkpoint) -> dict[str, Any]:
    return {"path": made.path, "about": made.about}


def _zeros(method: str | None, ratio: float | None, option: list[str], *, hooks: bool) -> PruningRequest | None:
    from edgebench.errors import UserError
    from edgebench.networks import pruning

    if method is None:
        if ratio is not None or option or hooks:
            raise UserError(
                "--method", "missing, although --ratio, --option or --hooks is given", "Add --method, e.g. --method set"
            )
        return None
    options = named_values("--option", option, "zeta=0.3")
    return pruning.PruningRequest(method, ratio, options, "hooks" if hooks else "baked")
