"""Commands about devices."""

from __future__ import annotations

from typing import Annotated

import typer

from edgebench.cli import _completion
from edgebench.cli._terminal import (
    EXIT_USER,
    Json,
    TargetsFile,
    check_outputs,
    console,
    example,
    progress,
    say,
    write_json,
)

app = typer.Typer(
    help="List, check and emulate the devices of targets.yaml.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)


@app.callback(epilog=example("edgebench targets", "edgebench targets check rpi4"))
def targets(context: typer.Context, file: TargetsFile = None) -> None:
    if context.invoked_subcommand is None:
        list_targets(file)


@app.command("list", epilog=example("edgebench targets list"))
def list_targets(file: TargetsFile = None, json: Json = None) -> None:
    """List the devices in targets.yaml."""
    from rich.markup import escape
    from rich.table import Table

    from edgebench.schema import targets as targets_

    check_outputs(json)
    path = targets_.find_file(file)
    known = targets_.load_all(path)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("target", "transport", "device", "what it is"):
        table.add_column(heading)
    for name, entry in known.items():
        table.add_row(*map(escape, (name, entry.transport, entry.device, entry.description)))
    console().print(table)
    console().print(f"[dim]from {escape(str(path))}[/dim]")
    write_json(json, {"file": path, "targets": known})


@app.command("check", epilog=example("edgebench targets check desktop-cpu"))
def check_target(
    name: Annotated[str, typer.Argument(help="A name from targets.yaml.", autocompletion=_completion.targets)],
    file: TargetsFile = None,
    json: Json = None,
) -> None:
    """Reach a device and report what it is, what is missing, and how to fix that."""
    from edgebench.device import target_check
    from edgebench.schema import targets as targets_

    check_outputs(json)
    found = target_check.check(targets_.load(name, targets_.find_file(file)), progress=progress())
    for line in found.lines():
        console().print(line, markup=False)
    write_json(json, {"ready": found.ready, "found": found})
    if not found.ready:
        raise typer.Exit(EXIT_USER)


@app.command("bundle", epilog=example("edgebench targets bundle"))
def bundle() -> None:
    """Make the bundle for the native agent on Android phones: glibc and CPython for ARM64 (from Debian, once)."""
    from edgebench.device.phone import bundle as bundles

    made = bundles.build(progress())
    say(f"{made} ({made.stat().st_size / 1e6:.0f} MB); deploy sends it to the phone")


@app.command("emulate", epilog=example("edgebench targets emulate rpi4"))
def emulate(
    board: Annotated[str, typer.Argument(help="rpi4 or rpi5.")],
    stop: Annotated[bool, typer.Option("--stop", help="Switch it off.")] = False,
    file: TargetsFile = None,
) -> None:
    """Make and start an emulated ARM board with a real ssh server (from Debian packages; a minute or two, once)."""
    from edgebench.device import emulator
    from edgebench.schema import targets as targets_

    if stop:
        emulator.find(board).stop()
        say(f"The emulated {board} is off")
        return
    machine = emulator.ensure_running(board, progress=say)
    say(f"The emulated {board} is running. To log in: ssh -F {machine.ssh_config} {machine.host_alias}")
    path = targets_.find_file(file)
    named = [one.name for one in targets_.load_all(path).values() if one.host == machine.host_alias]
    if named:
        say(f"Measure on it: edgebench deploy --target {named[0]}")
        return
    say(f"{path} has no target for it; add this:\n\n{_entry(board, machine.host_alias)}")


def _entry(board: str, host: str) -> str:
    return (
        f"{board}-emulated:\n"
        "  transport: ssh\n"
        f'  ssh_config: "{{cache}}/boards/{board}/run/ssh_config"\n'
        f"  host: {host}\n"
        "  emulated: true"
    )
