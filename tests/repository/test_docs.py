"""What the pages tell readers to type is what the program takes, and the links of the pages lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from edgebench import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_END_OF_COMMAND = ("|", "||", "&&", ";", ">", ">>", "2>", "#")


def commands(page: Path) -> list[list[str]]:
    """The words of every line of a block that calls edgebench; continued lines are one."""
    lines = [line for block in _BLOCK.findall(page.read_text()) for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        if line.strip().startswith(("edgebench ", "$ edgebench ")):
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            end = next((place for place, word in enumerate(words) if word in _END_OF_COMMAND), len(words))
            found.append(words[1:end])
    return found


def unknown(words: list[str]) -> str:
    """The first word that the program does not know; empty if there is none. A|B stands for either command."""
    if words and "|" in words[0]:
        return next((wrong for name in words[0].split("|") if (wrong := unknown([name, *words[1:]]))), "")
    command: Any = typer.main.get_command(cli.app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            return name
        command = command.commands[name]
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("-") and word.split("=")[0] not in {*options, "-"}), "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_can_be_typed(page: Path) -> None:
    wrong = {" ".join(words): unknown(words) for words in commands(page) if unknown(words)}
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_to_one(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if ":" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_it_sees_what_is_not_there() -> None:
    assert unknown(["export", "x", "--int9"]) == "--int9" and unknown(["exprot", "x"]) == "exprot"
    assert not unknown(["study", "run", "x.yaml", "--subset"])
