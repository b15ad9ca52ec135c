"""What files and devices say is shown on the terminal and never obeyed by it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebench.cli._console import PlainConsole, printable
from edgebench.errors import BadFile
from edgebench.schema.record import Outcome
from tests.conftest import run_cli
from tests.support import whole_records
from tests.support.audit_cases import DATA
from tests.support.records import FACTS, make_record, save_all

# Clears the screen, sets the title, rings, goes back, C1's own escape, turns the direction round, deletes.
NASTY = "a\x1b[2J\x1b]0;title\x07\x08\r\x9b31m\u202e\x7f\u200bz"
OBEYED = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u200b"} - {"\n", "\t"}


def is_plain(text: str) -> bool:
    return not OBEYED & set(text)


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert is_plain(shown) and len(shown) == len(text) and printable(shown) == shown
    shown.encode()  # nor what no terminal can be sent
    if text.isprintable():
        assert shown == text


def test_what_is_taken_out_can_be_seen() -> None:
    assert printable("\x1b[31m\x00\x7f\x9b\ttab\nline") == "\u241b[31m\u2400\u2421\ufffd\ttab\nline"


@pytest.mark.parametrize("how", ["print", "table", "markup"])
def test_the_console_shows_text_as_text(how: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    stream = io.StringIO()
    console = PlainConsole(file=stream, width=60)
    if how == "table":
        table = Table("name")
        table.add_row(escape(NASTY))
        console.print(table)
    else:
        console.print(escape(NASTY) if how == "markup" else NASTY, markup=how == "markup")
    assert is_plain(stream.getvalue()) and "title" in stream.getvalue()


def test_its_own_colours_stay() -> None:
    stream = io.StringIO()
    PlainConsole(file=stream, width=60, force_terminal=True, color_system="standard").print("[red]x[/]\x1b[2J")
    assert stream.getvalue().startswith("\x1b[31mx") and "\x1b[2J" not in stream.getvalue()


# ------------------------------------------------------------------ the commands


def test_compare_shows_what_records_say(tmp_path: Path) -> None:
    nasty = msgspec.structs.replace(FACTS, model=NASTY, cpu=NASTY, governor=NASTY, kernel=NASTY)
    failed = whole_records.whole(outcome=Outcome("agent-died", reason=NASTY))
    save_all(tmp_path / "results", [make_record(facts=nasty), failed])
    bad = {**whole_records.trees()["whole"], "outcome": {"status": NASTY, NASTY: 1}, "schema_version": 3}
    (tmp_path / "results" / "board" / f"{NASTY.replace('/', '')}.json").write_text(json.dumps(bad))
    done = run_cli("compare", cwd=tmp_path)
    assert done.returncode == 1 and "skipped" in done.stderr and "title" in done.stdout
    assert is_plain(done.stdout) and is_plain(done.stderr)


def test_audit_shows_what_tables_say(tmp_path: Path) -> None:
    text = (DATA / "emissions.csv").read_text().replace("resnet18", NASTY.replace("\r", ""))
    (tmp_path / "emissions.csv").write_text(text.replace("efficientnet-b4", "x").replace("0.1032593", "\x1b[2J"))
    done = run_cli("audit", "emissions.csv", cwd=tmp_path)
    assert "title" in done.stdout and "which is not an amount" in " ".join(done.stderr.split())
    assert is_plain(done.stdout) and is_plain(done.stderr)


def test_inspect_shows_what_a_bundle_says(relu_bundle: Path) -> None:
    path = relu_bundle / "bundle.json"
    content = json.loads(path.read_text())
    content["artifacts"][0]["notes"] = {"why": NASTY}
    path.write_text(json.dumps(content))
    done = run_cli("inspect", relu_bundle / "onnx-fp32.onnx", cwd=relu_bundle)
    assert done.returncode == 0 and "title" in done.stdout and is_plain(done.stdout)
    content["artifacts"][0]["format"] = NASTY
    path.write_text(json.dumps(content))
    done = run_cli("inspect", relu_bundle / "onnx-fp32.onnx", cwd=relu_bundle)
    assert is_plain(done.stdout) and is_plain(done.stderr)


def test_an_error_shows_what_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    from edgebench.cli._terminal import complain

    complain(BadFile(NASTY, NASTY, NASTY))
    said = capsys.readouterr().err
    assert is_plain(said) and said.count("title") == 3


def test_ctrl_c_is_answered(tmp_path: Path) -> None:
    code = (
        "import sys; from edgebench import cli; from edgebench.schema import targets\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "targets.load_all = stop; sys.argv = ['edgebench', 'targets', 'list']; cli.main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (130, "Stopped.\n")
