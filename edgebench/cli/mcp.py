"""The command that serves tools to programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli._terminal import example

app = typer.Typer()


@app.command(epilog=example("edgebench mcp", "edgebench mcp --folder ~/networks"))
def mcp(
    folder: Annotated[Path, typer.Option(help="Where bundles/ and results/ are; other paths are refused.")] = Path(),
    allow_outside: Annotated[bool, typer.Option("--allow-outside", help="Take paths outside that folder too.")] = False,
) -> None:
    """Serve edgebench's commands as tools by the Model Context Protocol, on stdin and stdout.

    For editors and assistants, which start this command themselves; needs the extra mcp.
    """
    from edgebench import mcp

    mcp.mcp(folder, allow_outside=allow_outside)
