"""edgebench mcp: the tools by the official client, and what a client cannot do with them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from edgebench import mcp
from edgebench.errors import UserError
from edgebench.mcp import ToolServer, tools
from edgebench.mcp.tools import ToolFailed
from edgebench.networks import named_function
from edgebench.networks.own_network import code
from tests.conftest import cli_command, run_cli

ROOT = Path(__file__).parents[2]
pytest.importorskip("mcp")


def typed(name: str, root: Path, **arguments: Any) -> list[str]:
    return tools.command_line(name, arguments, root, root)


def why_not(name: str, root: Path, **arguments: Any) -> str:
    with pytest.raises(ToolFailed) as failure:
        typed(name, root, **arguments)
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    shutil.copy(models / "relu.onnx", root)
    shutil.copytree(ROOT / "results" / "reference" / "desktop-cpu", root / "results" / "desktop-cpu")
    return root


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_official_client_lists_and_calls_them(folder: Path) -> None:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command, *words = cli_command("mcp", "--folder", folder)
    server = StdioServerParameters(command=command, args=words, env=dict(os.environ), cwd=ROOT)

    async def talk() -> dict[str, Any]:
        with Path(os.devnull).open("w") as errors:
            async with stdio_client(server, errlog=errors) as (read, write), ClientSession(read, write) as session:
                hello = await session.initialize()
                listed = (await session.list_tools()).tools
                return {
                    "hello": hello.serverInfo.name,
                    "listed": listed,
                    "inspect": await session.call_tool("inspect", {"file": "relu.onnx"}),
                    "compare": await session.call_tool("compare", {"records": ["desktop-cpu"], "margin": 5}),
                    "bad": await session.call_tool("inspect", {"file": 3}),
                    "missing": await session.call_tool("inspect", {"file": "nothing.onnx"}),
                }

    found = anyio.run(talk)
    assert found["hello"] == "edgebench"
    assert [one.name for one in found["listed"]] == list(tools.TOOLS)
    assert all(one.description and one.inputSchema["type"] == "object" for one in found["listed"])
    assert found["inspect"].structuredContent["network"]["layers"] and not found["inspect"].isError
    assert found["compare"].structuredContent == json.loads(
        run_cli("compare", "desktop-cpu", "--margin", "5", "--json", "-", cwd=folder).stdout
    )
    assert found["bad"].isError and "Expected `str`, got `int` - at `$.file`" in found["bad"].content[0].text
    assert found["missing"].content[0].text == "nothing.onnx: there is no such file. Check the path"


def test_arguments_never_become_options(tmp_path: Path) -> None:
    assert typed("inspect", tmp_path, file="--help") == ["inspect", "--json=-", "--", "--help"]
    assert "--dataset=mnist" in typed("export", tmp_path, source="a.onnx", dataset="mnist", int8=True)
    assert "--target=--results=/" in typed("deploy", tmp_path, target="--results=/")
    assert "Expected `str` matching regex" in why_not("deploy", tmp_path, target="a", plan="quick --results /")


def test_paths_stay_in_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("inspect", {"file": "../x.onnx"}),
        ("inspect", {"file": "link/x.onnx"}),
        ("export", {"source": "/etc/passwd"}),
        ("export", {"source": "a.onnx", "out": "../bundle"}),
        ("export", {"source": "a.onnx", "dataset": "/etc"}),
        ("deploy", {"target": "desktop-cpu", "files": ["a.onnx", "/etc/x.onnx"]}),
        ("compare", {"records": ["/"]}),
        ("compare", {"baseline": "../results"}),
        ("explain", {"records": ["a/../../b"]}),
    ]
    for name, arguments in calls:
        assert "outside" in why_not(name, root, **arguments), arguments
    assert tools.command_line("inspect", {"file": "/x.onnx"}, None, root)[-1] == "/x.onnx"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("compare", {}), ("compare", {"records": ["board"]}), ("explain", {"records": ["results"]}),
        ("deploy", {"target": "board"}), ("deploy", {"target": "board", "files": ["bundles/net"]}),
    ],
)  # fmt: skip
def test_links_in_folders_that_are_read_stay_in_the_folder(
    name: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    root = tmp_path / "work"
    for inside, outside in (("results/board/x.json", "x.json"), ("bundles/net/x.onnx", "x.onnx")):
        (tmp_path / outside).write_text("outside")
        (root / inside).parent.mkdir(parents=True)
        (root / inside).symlink_to(tmp_path / outside)
    assert "leads out" in why_not(name, root, **arguments)


def test_unknown_tools_and_arguments_are_named(tmp_path: Path) -> None:
    assert "Did you mean 'inspect'" in why_not("inspekt", tmp_path)
    assert "unknown field `path`. Its arguments: file, shape" in why_not("inspect", tmp_path, path="a.onnx")
    assert "code is not run here" in why_not("export", tmp_path, source="os:getcwd")


def test_what_files_name_is_not_run_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(named_function.OWN_CODE, "refused")
    with pytest.raises(UserError, match="it names code, which is not run here"):
        code.make("os:getcwd")
    with pytest.raises(UserError, match="it names code, which is not run here"):
        named_function.load("os:getcwd", "--metric", "")


def served(script: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []

    async def said(line: str) -> None:
        lines.append(line)

    server = ToolServer(folder, runs=(sys.executable, "-c", script))
    return anyio.run(server.call, "deploy", {"target": "desktop-cpu"}, said), lines


def test_progress_is_passed_on_and_the_answer_is_what_is_printed(tmp_path: Path) -> None:
    script = "import sys; print('round 1', file=sys.stderr); print('{\"rows\": []}'); sys.exit(3)"
    assert served(script, tmp_path) == ({"rows": [], "exit_code": 3}, ["round 1"])


def test_errors_are_one_sentence_and_nothing_is_imported_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('stolen')")
    lines = "error: target 'pi': no answer\n       Switch it on\n"
    with pytest.raises(ToolFailed, match="^target 'pi': no answer. Switch it on$"):
        served(f"import json, sys; sys.stderr.write({lines!r}); sys.exit(1)", tmp_path)
    with pytest.raises(ToolFailed, match="edgebench deploy ended with exit code -9 and no answer"):
        served("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_a_call_that_is_given_up_ends_its_process(tmp_path: Path) -> None:
    async def give_up() -> None:
        async def said(line: str) -> None:
            scope.cancel()

        script = (
            "import os, sys, time; open('pid', 'w').write(str(os.getpid())); print(1, file=sys.stderr); time.sleep(60)"
        )
        server = ToolServer(tmp_path, runs=(sys.executable, "-c", script))
        with anyio.CancelScope() as scope:
            await server.call("deploy", {"target": "desktop-cpu"}, said)

    anyio.run(give_up)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("version", ["1.9.4", "2.0.0"])
def test_other_versions_of_the_package_are_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(UserError, match=f"version {version} is installed"):
        mcp.check_package()
