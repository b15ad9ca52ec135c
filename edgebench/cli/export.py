"""The command that makes a bundle of a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli import _completion, _own_data
from edgebench.cli._terminal import Json, check_outputs, example, named_values, progress, say, write_json

app = typer.Typer()


@app.command(
    "export",
    epilog=example(
        "edgebench export --int8 --max-drop 0.3",
        "edgebench export checkpoints/ultralight.safetensors --formats tflite-int8,onnx-fp32",
        "edgebench export model.onnx --int8 --calibration fashion-mnist-mini",
        "edgebench export my.models:make --weights best.pt --dataset cifar10",
        "edgebench export my.models:make --argument num_classes=7 --dataset photos/ --preprocessing imagenet",
        "edgebench export my.models:two --shape image=1x3x64x64 --shape ids=1x16:int64 --inputs samples.npz",
        "edgebench export --for rpi4,rpi5",
    ),
)
def export_command(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A checkpoint (default: the newest), .onnx, .keras or .h5 file, SavedModel, package.module:callable.",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Make fp32 and INT8 files of ONNX and TFLite.")] = False,
    formats: Annotated[
        str | None,
        typer.Option(help="Comma-separated, e.g. onnx-fp32,tflite-int8.", autocompletion=_completion.formats),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for a callable's network; FILE:KEY if the file has several.")
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An argument of the callable; repeatable.", show_default=False),
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Input size, if the source leaves it open: 3x32x32.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=1x16:int64",
            help="Sizes of an input that the source leaves open, and for code its dtype; repeat it for several inputs.",
        ),
    ] = None,
    dim: Annotated[
        list[str] | None, typer.Option(metavar="NAME=1", help="A size that an .onnx file leaves open, by its name.")
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Arrays by input name, first axis samples: for calibration and for comparing."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help=f"What the network is tested on. {_own_data.DATA}", show_default=False)
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="Data set for INT8 ranges, if it is another one.")] = None,
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    letterbox: _own_data.Letterbox = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    fold: Annotated[
        bool, typer.Option("--fold-preprocessing", help="Make files that take images as bytes, 0 to 255.")
    ] = False,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Make files that take any number of images at once.")
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Points of accuracy that INT8 may lose; costly operators stay float. If exceeded: exit code 1.",
        ),
    ] = None,
    best_effort: Annotated[
        bool, typer.Option("--best-effort", help="Exit with 0 even if an INT8 file loses more than --max-drop.")
    ] = False,
    no_vnni: Annotated[
        bool, typer.Option("--no-vnni", help="Make ONNX INT8 for x86 processors without VNNI too: 7-bit weights.")
    ] = False,
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TARGETS",
            help="Say which file to deploy there (rpi4, rpi5, desktop-cpu), and fit ONNX INT8 to these targets.",
        ),
    ] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="With --for: count these files on the emulated board (minutes).")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Make everything again.")] = False,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder.")] = None,
    json: Json = None,
) -> None:
    """Write ONNX and TFLite files, each checked against the network it came from.

    A format that cannot be made is listed with the reason; the others are made.

    Exits with 1 if --formats named it, if nothing could be made, or if a file loses more than --max-drop.
    """
    from edgebench.export import ExportOptions, check_kept, check_made, export
    from edgebench.files import cache
    from edgebench.modelfile import feeding
    from edgebench.networks import models

    check_outputs(json)
    options = ExportOptions(
        formats=formats.split(",") if formats else (),
        int8=int8,
        weights=weights,
        arguments=named_values("--argument", argument or (), "num_classes=10"),
        input_shape=models.parse_shape(input_) if input_ else None,
        wanted=feeding.parse_request(shape or (), dims=dim or ()),
        inputs=inputs,
        dataset=_own_data.address(dataset, split_seed, skip_broken),
        calibration=_own_data.address(calibration, split_seed, skip_broken),
        preprocessing=preprocessing,
        geometry=_own_data.geometry(resize, crop, interpolation, antialias, letterbox),
        fold=fold,
        dynamic_batch=dynamic_batch,
        max_drop_points=max_drop,
        no_vnni=no_vnni,
        targets=[name.strip() for name in for_.split(",")] if for_ else (),
        emulate=emulate,
    )
    exported = export(
        source, options, out=out, cache=None if no_cache else cache.folder() / "export", progress=progress()
    )
    say(str(exported.path))
    write_json(json, {"path": exported.path, "missed": exported.missed, "bundle": exported.bundle})
    check_made(exported, options.formats)
    if max_drop is not None and not best_effort:
        check_kept(exported, max_drop)
