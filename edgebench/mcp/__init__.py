"""mcp: edgebench's commands as tools for programs that speak the Model Context Protocol, over stdin and stdout.

    client ──tools/call──> arguments, checked ─> paths, inside the folder? ─> `edgebench COMMAND ... --json=-`
           <─progress────────────────────────────────────── lines of stderr ─┤
           <─result───────────────────────────────────────── JSON of stdout ─┘

Each call is a process of its own: what converters and runtimes print cannot get into the protocol, a native crash ends
one call, and the answer is what the command prints. Nothing that a client sends is run as code or as an option.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebench import __version__
from edgebench.errors import MissingPackage, UserError
from edgebench.mcp import tools
from edgebench.mcp.tools import Tool, ToolFailed
from edgebench.networks.named_function import OWN_CODE

# Of the package `mcp`: from the first that returns structured answers to the last whose interface is known.
_FIRST, _LAST_MAJOR = (1, 10), 1
_INSTRUCTIONS = (
    "edgebench exports trained networks for edge devices, measures them there, and compares what they cost. "
    "Start with list_targets; inspect and export read files; deploy measures and may take minutes; compare and explain "
    "read the records that deploy saved."
)
_MOST_ERROR_BYTES = 100_000
_SECONDS_TO_END = 10.0

# Called with a line that a command says while it works.
Said = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class ToolServer:
    """folder: where commands run, and all paths are inside it unless `allow_outside`. runs: the command line."""

    folder: Path
    allow_outside: bool = False
    runs: tuple[str, ...] = (sys.executable, "-c", "from edgebench.cli import main; main()")

    async def call(self, name: str, arguments: dict[str, Any], said: Said) -> dict[str, Any]:
        """What the command prints as JSON. Raises ToolFailed, in one sentence."""
        typed = tools.command_line(name, arguments, None if self.allow_outside else self.folder, self.folder)
        is_long = not tools.TOOLS[name].only_reads

        async def noted(line: str) -> None:
            print(line, file=sys.stderr, flush=True)
            if is_long:  # what others say on stderr is the answer, as a table
                await said(line)

        code, out, errors = await _run([*self.runs, *typed], self.folder, noted)
        with suppress(ValueError):
            found = json.loads(out)
            if isinstance(found, dict):
                return {**found, "exit_code": code} if code else found
        raise ToolFailed(_sentence(errors) or f"edgebench {typed[0]} ended with exit code {code} and no answer")


def mcp(folder: Path = Path(), *, allow_outside: bool = False) -> None:
    """Serve tools until stdin ends.

    Args:
        folder: The working directory of all commands; paths outside it are refused.
        allow_outside: Take any path.

    Raises:
        UserError: If there is no such folder, or the package `mcp` is one that this does not work with.
    """
    if not folder.is_dir():
        raise UserError(str(folder), "there is no such folder", "Give the folder that bundles and results are in")
    check_package()
    import anyio

    anyio.run(_serve, ToolServer(folder.resolve(), allow_outside))


def check_package() -> None:
    """Raises MissingPackage, UserError."""
    try:
        version = importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingPackage("edgebench mcp", "mcp", "mcp") from error
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < _FIRST or parts[0] > _LAST_MAJOR:
        raise UserError("mcp", f"version {version} is installed, whose interface differs", "pip install 'mcp>=1.10,<2'")


async def _serve(server: ToolServer) -> None:
    import mcp.types as types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server

    made: Any = Server("edgebench", version=__version__, instructions=_INSTRUCTIONS)

    @made.list_tools()  # type: ignore[untyped-decorator, unused-ignore]
    async def listed() -> list[Any]:
        return [_described(one, types) for one in tools.TOOLS.values()]

    @made.call_tool(validate_input=False)  # type: ignore[untyped-decorator, unused-ignore]
    async def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return await server.call(name, arguments, _reporter(made.request_context))

    async with stdio_server() as (incoming, outgoing):
        await made.run(incoming, outgoing, made.create_initialization_options())


def _described(tool: Tool, types: Any) -> Any:
    hints = types.ToolAnnotations(readOnlyHint=tool.only_reads, destructiveHint=False, openWorldHint=False)
    return types.Tool(name=tool.name, description=tool.description, inputSchema=tool.schema(), annotations=hints)


def _reporter(context: Any) -> Said:
    """Sends lines to the client, if it asked for progress."""
    token = context.meta.progressToken if context.meta is not None else None
    count = 0

    async def said(line: str) -> None:
        nonlocal count
        count += 1
        if token is not None:
            await context.session.send_progress_notification(token, float(count), message=line)

    return said


def _environment() -> dict[str, str]:
    """No line of stderr is broken, and nothing is imported from the folder, whose files a client may have written."""
    found = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "COLUMNS": "2000",
        "NO_COLOR": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(found),
        OWN_CODE: "refused",
    }


async def _run(command: Sequence[str], folder: Path, said: Said) -> tuple[int, str, list[str]]:
    """Exit code, stdout, and the last lines of stderr. A call that is cancelled ends its process."""
    import anyio
    from anyio.streams.text import TextReceiveStream

    out: list[str] = []
    errors: list[str] = []

    async def read_out(stream: Any) -> None:
        async for piece in TextReceiveStream(stream, errors="replace"):
            out.append(piece)

    async def read_errors(stream: Any) -> None:
        begun = ""
        async for piece in TextReceiveStream(stream, errors="replace"):
            *lines, begun = (begun + piece)[-_MOST_ERROR_BYTES:].split("\n")
            for line in lines:
                if line.strip():
                    errors[:-50] = []
                    errors.append(line.rstrip())
                    await said(line.strip())
        if begun.strip():
            errors.append(begun.rstrip())

    async with await anyio.open_process(command, stdin=subprocess.DEVNULL, cwd=folder, env=_environment()) as process:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(read_out, process.stdout)
                group.start_soon(read_errors, process.stderr)
            return await process.wait(), "".join(out), errors
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(ProcessLookupError):
                process.terminate()
                with anyio.move_on_after(_SECONDS_TO_END):
                    await process.wait()
                process.kill()
            raise


def _sentence(errors: Sequence[str]) -> str:
    """The last error that the command printed: where, what was seen and what to do next, in one line."""
    starts = [number for number, line in enumerate(errors) if line.startswith("error: ")]
    if not starts:
        return errors[-1].strip(" │╰╯") if errors else ""
    first, *following = errors[starts[-1] :]
    rest = [line.strip() for line in following if line.startswith("       ")]
    return ". ".join([first.removeprefix("error: "), *rest[:1]])
