"""The command line as typed: help with examples, errors without tracebacks, exit codes, and what it imports."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import edgebench
from edgebench import cli, compare
from edgebench.progress import Terminal
from tests.conftest import cli_command, run_cli
from tests.support.records import make_reading, make_record, make_rounds, save_all

PROGRAM = typer.main.get_command(cli.app)


def squeezed(text: str) -> str:
    """Without the line breaks and the box of an 80-column terminal."""
    return " ".join(text.replace("│", " ").split())


def commands(command: click.Command = PROGRAM, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def find(path: tuple[str, ...]) -> click.Command:
    command = PROGRAM
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    return command


# ------------------------------------------------------------------ help


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=" ".join(path) or "edgebench") for path in commands()],
)
def test_the_help_of_every_command_has_an_example_of_it(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.app, [*path, "--help"])
    assert shown.exit_code == 0
    behind_the_usage_line = squeezed(shown.output).partition("Options")[2]
    assert " ".join(("edgebench", *path)) in behind_the_usage_line


@pytest.mark.parametrize("path", list(commands()))
def test_nothing_in_a_help_text_is_taken_for_markup(path: tuple[str, ...]) -> None:
    """`edgebench[mcp]` is shown as `edgebench`."""
    command = find(path)
    texts = [command.help, *(getattr(one, "help", None) for one in command.params)]
    tags = {tag for text in texts for tag in re.findall(r"(?<!\\)\[/?([a-z]\w*)\]", text or "")}
    assert tags <= {"dim", "deprecated"}


def examples() -> list[str]:
    lines = [line for path in commands() for line in (find(path).epilog or "").splitlines()]
    return sorted({line[line.index("edgebench ") :] for line in lines if "edgebench " in line})


@pytest.mark.parametrize("example", examples())
def test_every_example_can_be_typed(example: str) -> None:
    """Its commands and options exist; it is parsed, not run."""
    _, *arguments = shlex.split(example)
    command = PROGRAM
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command = command.commands[arguments.pop(0)]  # type: ignore[attr-defined]
    context = command.make_context(example, arguments)
    assert context.command is command


def test_there_is_an_example_for_each_command() -> None:
    assert len(examples()) >= len(list(commands())) - 1


def test_without_arguments_the_help_is_shown(tmp_path: Path) -> None:
    done = run_cli(cwd=tmp_path)
    assert "Usage" in done.stdout + done.stderr and "compare" in done.stdout + done.stderr
    assert done.returncode in (0, 2)


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    done = run_cli("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, f"edgebench {edgebench.__version__}")


# ------------------------------------------------------------------ what a user can mend: exit code 1


NAMING_FILES = (
    "compare",
    "explain",
    "compare --baseline",
    "results show",
    "results list --results",
    "publish -o x.zip",
)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train ultraligt --dataset fashion-mnist-mini", "there is no 'ultraligt' Did you mean 'ultralight'?"),
        ("train ultralight --dataset fashion-mnist-mni", "Did you mean 'fashion-mnist-mini'?"),
        ("prune gone.safetensors", "gone.safetensors"),
        ("export gone.onnx", "gone.onnx: there is no such file"),
        ("export", "edgebench train"),
        ("deploy --target desktop-cpo gone.onnx", "Did you mean 'desktop-cpu'?"),
        ("deploy --target desktop-cpu gone.onnx", "gone.onnx: there is no such file"),
        ("deploy --target desktop-cpu", "Make one with `edgebench export`"),
        ("deploy --target desktop-cpu --plan quik gone.onnx", "Did you mean 'quick'?"),
        ("deploy --target mine --targets gone.yaml x.onnx", "gone.yaml: there is no such file"),
        ("compare", "Measure something first: edgebench deploy"),
        ("compare gone.json", "there is no 'gone.json'"),
        ("targets check rpi5", "Did you mean 'rpi4'?"),
        ("targets --targets gone.yaml", "gone.yaml: there is no such file"),
        ("targets emulate rpi9", "rpi"),
        *((f"{command} {'b' * 300}", "no file can have a name as long") for command in NAMING_FILES),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(
    typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, so that torch is imported once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["edgebench", *typed.split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert squeezed(printed.err).startswith("error: ") and said in squeezed(printed.err)
    assert "Traceback" not in printed.err + printed.out
    assert len(printed.err.splitlines()) <= 6


def test_the_program_itself_ends_with_1_and_the_message_on_stderr(tmp_path: Path) -> None:
    done = run_cli("deploy", "--target", "desktop-cpo", "gone.onnx", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert squeezed(done.stderr).startswith("error: target") and "Did you mean 'desktop-cpu'?" in squeezed(done.stderr)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("frobnicate", "frobnicate"),
        ("compare --colour red", "--colour"),
        ("deploy x.onnx", "--target"),
        ("prune x.safetensors --ratio 1.5", "--ratio"),
        ("train ultralight --dataset d --epochs many", "--epochs"),
        ("targets frobnicate", "frobnicate"),
        ("explain --deadline-ms inf", "--deadline-ms"),
        ("explain --battery-wh 37 --per-second 1e308", "--per-second"),
        ("compare --intensity inf", "--intensity"),
    ],
)
def test_what_cannot_be_parsed_is_a_usage_error(typed: str, said: str, tmp_path: Path) -> None:
    done = run_cli(*typed.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(compare, "select", broken)
    monkeypatch.setattr(sys, "argv", ["edgebench", "compare"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


# ------------------------------------------------------------------ compare


def test_compare_shows_a_table_and_writes_the_reports(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record(), make_record("net-onnx-int8", p50_ns=25_000.0)])
    done = run_cli("compare", "--markdown", "out.md", "--csv", "out.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "net-onnx-int8" in done.stdout and "0.50x" in done.stdout and "baseline" in done.stdout
    assert "out.md" in done.stdout and "out.csv" in done.stdout
    assert "net-onnx-int8" in (tmp_path / "out.md").read_text() and "p50_s" in (tmp_path / "out.csv").read_text()
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_compare_says_the_carbon_of_joules_where_an_intensity_is_given(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record(energy=(make_reading(),))])
    done = run_cli("compare", "--intensity", "380.95", "--csv", "out.csv", cwd=tmp_path)
    assert done.returncode == 0 and "µg of CO2e per inference" in squeezed(done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80
    with (tmp_path / "out.csv").open() as stream:
        (line,) = csv.DictReader(stream)
    joules = float(line["energy"].rpartition("gross ")[2].removesuffix(" J"))
    assert float(line["intensity_g_per_kwh"]) == 380.95
    assert float(line["co2e_g"].rpartition(" ")[2]) == pytest.approx(joules * 380.95 / 3.6e6, rel=1e-5)


def test_a_baseline_on_the_command_line_is_used_or_answered_with_a_guess(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record(), make_record("net-onnx-int8", p50_ns=25_000.0)])
    done = run_cli("compare", "--baseline", "board/net-onnx-int8", cwd=tmp_path)
    assert done.returncode == 0 and "2.00x" in done.stdout
    done = run_cli("compare", "--baseline", "board/net-onnx-int9", cwd=tmp_path)
    assert done.returncode == 1 and "Did you mean 'net-onnx-int8'" in squeezed(done.stderr)


@pytest.mark.parametrize(
    ("changes", "strict", "code"),
    [
        ({}, True, 0),
        ({"golden": None}, False, 0),
        ({"golden": None}, True, 3),
        ({"rounds": make_rounds([50_000.0] * 4 + [60_000.0] * 4)}, True, 3),
    ],
)
def test_strict_ends_with_3_unless_every_record_is_valid(
    changes: dict[str, object], strict: bool, code: int, tmp_path: Path
) -> None:
    save_all(tmp_path / "results", [make_record(), make_record("net-onnx-int8", **changes)])
    done = run_cli("compare", *(["--strict"] if strict else []), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "net-onnx-int8" in done.stdout  # the table is shown all the same


def test_a_damaged_record_is_said_with_its_path(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path / "results", [make_record()])
    path.write_bytes(path.read_bytes()[:500])
    done = run_cli("compare", cwd=tmp_path)
    assert done.returncode == 1 and "it is not a record" in squeezed(done.stderr)
    assert path.name in done.stderr.replace("\n", "") and "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    done = run_cli("compare", "--csv", "no/such/folder/out.csv", cwd=tmp_path)
    assert done.returncode == 1 and "cannot be written" in done.stderr and "Traceback" not in done.stderr


# ------------------------------------------------------------------ pipes that nobody reads, and none at all


@pytest.mark.parametrize("typed", ["compare", "--help", "models", "targets list", "audit --list", "compare --csv -"])
@pytest.mark.parametrize("where", ["| true", "| head -1", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_nobody_reads_ends_quietly(typed: str, where: str, tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    script = f"{shlex.join(cli_command(*typed.split()))} {where}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    if where == "2>&-":
        assert done.returncode == 0 and done.stdout
    if typed == "compare --csv -" and where == ">&-":
        assert done.returncode == 1 and "stdout is closed" in done.stderr


@pytest.mark.parametrize("where", ["2>&-", "<&- >&- 2>&-"])
def test_workers_are_started_where_a_shell_closed_stderr(where: str, models: Path, tmp_path: Path) -> None:
    typed = cli_command("inspect", models / "relu.onnx", "--json", "found.json")
    done = subprocess.run(["bash", "-c", f"{shlex.join(typed)} {where}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found.json").exists()


def test_deploy_into_a_pipe_that_closes_goes_on_when_it_is_typed_again(tmp_path: Path) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    typed = ("deploy", "--target", "simulated", "net.sim", "--plan", "quick")
    script = f"{shlex.join(cli_command(*typed))} 2>&1 | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1 and done.stdout.strip() and "Traceback" not in done.stderr
    again = run_cli(*typed, cwd=tmp_path)
    assert again.returncode == 0 and len(list((tmp_path / "results/simulated").glob("*.json"))) == 1, again.stderr


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"FORCE_COLOR": "1"}])
def test_nothing_is_wider_than_80_columns_or_coloured_against_the_users_will(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    typed = ("deploy", "--target", "simulated", "net.sim", "--plan", "quick", "--energy")
    done = run_cli(*typed, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    if "NO_COLOR" in environment:
        assert not re.search(r"\x1b\[(3|4|9|10)[0-9]", done.stdout)


# ------------------------------------------------------------------ targets


def test_targets_are_listed_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("mine:\n  transport: local\n  description: under the desk\n")
    for typed in (["targets"], ["targets", "list"]):
        done = run_cli(*typed, cwd=tmp_path)
        assert done.returncode == 0
        assert "mine" in done.stdout and "under the desk" in done.stdout and "targets.yaml" in done.stdout


@pytest.mark.parametrize("word", ["[kitchen]", "[/]"])
def test_a_description_is_shown_as_it_is(word: str, tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text(f"mine:\n  transport: local\n  description: 'the board {word}'\n")
    done = run_cli("targets", cwd=tmp_path)
    assert done.returncode == 0 and word in done.stdout


def test_a_target_is_checked_and_its_runtimes_tried(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text(
        "mine:\n  transport: local\n  runtimes: [onnxruntime]\n"
        "wrong:\n  transport: local\n  runtimes: [litert]\n  device: cuda\n"
    )
    done = run_cli("targets", "check", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine: reached by local" in done.stdout and "onnxruntime" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "ready"

    done = run_cli("targets", "check", "wrong", cwd=tmp_path)
    assert done.returncode == 1 and "not ready" in done.stdout
    assert "this runtime has no device 'cuda'" in squeezed(done.stdout)


def test_checking_a_target_with_a_mistyped_runtime_is_answered_with_a_guess(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("typo:\n  transport: local\n  runtimes: [litrt]\n")
    done = run_cli("targets", "check", "typo", cwd=tmp_path)
    assert done.returncode == 1 and "Did you mean 'litert'?" in squeezed(done.stderr)


def test_a_device_cannot_break_the_table_with_its_name(tmp_path: Path) -> None:
    tree = tmp_path / "sysroot/proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_text("A board [/] rev 1")
    (tmp_path / "targets.yaml").write_text("mine:\n  transport: local\n  runtimes: [onnxruntime]\n")
    done = run_cli("targets", "check", "mine", cwd=tmp_path, EDGEBENCH_SYSROOT=str(tmp_path / "sysroot"))
    assert done.returncode == 0 and "A board [/] rev 1" in done.stdout


@pytest.mark.parametrize("place", ["label", "note", "line"])
def test_what_a_runtime_says_in_its_last_words_does_not_end_a_deploy(place: str) -> None:
    """Reasons of failures come from devices and stand behind the bar: `[/usr/lib/libfoo.so]` is a closing tag."""
    said = "net failed: [/usr/lib/libfoo.so] bad magic"
    shown = io.StringIO()
    progress = Terminal(Console(file=shown, force_terminal=True, width=200))
    if place == "line":
        progress.say(said)
    with progress.step(said if place == "label" else "Measuring", total=2) as step:
        step.advance(1, said if place == "note" else "")
    assert "[/usr/lib/libfoo.so]" in shown.getvalue()


# ------------------------------------------------------------------ what it imports

HEAVY = ["torch", "torchvision", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "litert_torch", "scipy"]

# Runs the program with the arguments behind it; then says which modules it had loaded.
REPORTING = (
    "import json, sys\n"
    "from edgebench.cli import main\n"
    "try:\n    main()\n"
    "except SystemExit as end:\n    code = end.code\n"
    "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)\n"
)

# The same where the optional libraries are not installed.
WITHOUT = (
    "import sys\n"
    "class Absent:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    f"        if name.partition('.')[0] in {[*HEAVY, 'torch_pruning', 'safetensors', 'psutil']!r}:\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    "sys.meta_path.insert(0, Absent())\n"
)


def run_script(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=cwd, capture_output=True, text=True)


def loaded(done: subprocess.CompletedProcess[str]) -> set[str]:
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code in (0, None), done.stderr
    return set(modules)


@pytest.mark.parametrize("typed", ["--help", "deploy --help", "compare --help"])
def test_help_answers_without_heavy_libraries(typed: str, tmp_path: Path) -> None:
    modules = loaded(run_script(REPORTING, *typed.split(), cwd=tmp_path))
    assert not modules & {"numpy", "altair", "jinja2", "vl_convert", "yaml", "edgebench.deploy", *HEAVY}


def test_listing_targets_needs_neither_numbers_nor_charts(tmp_path: Path) -> None:
    modules = loaded(run_script(REPORTING, "targets", cwd=tmp_path))
    assert not modules & {"numpy", "altair", *HEAVY}


def test_comparing_on_a_terminal_needs_no_charts(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    modules = loaded(run_script(REPORTING, "compare", cwd=tmp_path))
    assert not modules & {"altair", "jinja2", "vl_convert", *HEAVY}


def test_the_base_install_compares_lists_and_deploys(tmp_path: Path) -> None:
    """Neither torch nor tensorflow nor onnx: what is measured on a board needs none of them here."""
    save_all(tmp_path / "results", [make_record()])
    for typed in (["compare", "--csv", "out.csv"], ["targets"]):
        done = run_script(WITHOUT + REPORTING, *typed, cwd=tmp_path)
        assert not loaded(done) & set(HEAVY)
    imports = "from edgebench import deploy\n"
    imports += "from edgebench.device import agent, emulator, journal, provisioning, target_check\n"
    done = run_script(WITHOUT + imports, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_a_command_says_what_to_install(tmp_path: Path) -> None:
    script = WITHOUT + "from edgebench.cli import main\nmain()"
    done = run_script(script, "train", "ultralight", "--dataset", "fashion-mnist-mini", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "is not installed" in squeezed(done.stderr)
    assert "pip install 'edgebench[train]'" in squeezed(done.stderr)
    assert "Traceback" not in done.stderr


def test_every_optional_package_has_an_extra_that_brings_it() -> None:
    written = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = written["project"]["optional-dependencies"]
    names = {"sklearn": "scikit-learn", "mlflow": "mlflow-skinny"}
    for package, extra in cli._EXTRA_OF_PACKAGE.items():
        brought = {re.split(r"[\[>=;\s]", one)[0] for one in extras[extra]}
        assert names.get(package, package.replace("_", "-")) in brought | {"onnxruntime", "ai-edge-litert"}, package


def test_the_networks_are_listed_with_their_exact_counts(tmp_path: Path) -> None:
    done = run_cli("models", "--input", "1x28x28", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = [line.split() for line in done.stdout.splitlines() if line.startswith("ultralight ")]
    assert line[1:4] == ["101,930", "342,464", "421,066"]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_shape_that_is_none_is_told(tmp_path: Path) -> None:
    done = run_cli("models", "--input", "3x32", cwd=tmp_path)
    assert done.returncode == 1 and "3x32x32" in done.stderr


# ------------------------------------------------------------------ facts as JSON


@pytest.mark.parametrize(
    ("typed", "key"),
    [("targets list", "targets"), ("meters list", "name"), ("models --input 1x28x28", "name")],
)
def test_facts_are_json_on_stdout_and_the_table_on_stderr(typed: str, key: str, tmp_path: Path) -> None:
    done = run_cli(*typed.split(), "--json", "-", cwd=tmp_path)
    content = json.loads(done.stdout)
    assert done.returncode == 0 and key in (content[0] if isinstance(content, list) else content)
    assert done.stderr
