"""The command that packs records into one file for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli._terminal import (
    RESULTS,
    Json,
    Results,
    check_outputs,
    complain,
    end_if_skipped,
    example,
    say,
    say_skipped,
    write_json,
)

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench publish -o ours.zip",
        "edgebench publish desktop-cpu rpi4 --with-files -o ours.zip",
        "edgebench publish results/desktop-cpu/20261130T101500.123Z-net-onnx-fp32.json -o one.zip",
    )
)
def publish(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, a zip file.", show_default=False)],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Targets (newest records), record files, and results folders; default: all targets.",
            show_default=False,
        ),
    ] = None,
    with_files: Annotated[
        bool, typer.Option("--with-files", help="The measured files too, with their golden inputs.")
    ] = False,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file, bundle or folder to look for them in; default: here, and beside the results.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run of each file, not only the newest.")] = False,
    results: Results = RESULTS,
    json: Json = None,
) -> None:
    """Pack records with all raw values, hashes and verdicts into one checked file.

    Others compare it (edgebench compare FILE) and measure it again (edgebench repeat FILE).
    """
    from edgebench import publish as publish_
    from edgebench.analysis import selection
    from edgebench.errors import UserError

    check_outputs(out, json)
    chosen = selection.select(results, names or (), every=every)
    say_skipped(chosen.skipped)
    if not chosen.records:
        end_if_skipped(chosen.skipped, "record")
        raise UserError(str(results), "contains no records", "Measure something first: edgebench deploy")
    made = publish_.publish(chosen.records, out, with_files=with_files or bool(files), places=tuple(files or ()))
    count = len(made.content.records)
    say(
        f"{made.path}: {count} record{'s' * (count > 1)}, {made.path.stat().st_size / 1e6:.2f} MB, sha256 {made.sha256}"
    )
    if made.without:
        complain(
            UserError(", ".join(made.without), "not found by content, so not in it", "Name the folder: --files PATH"),
            "left out", "yellow",
        )  # fmt: skip
    write_json(json, {"path": made.path, "sha256": made.sha256, "content": made.content, "without": made.without})
    end_if_skipped(chosen.skipped, "record")
