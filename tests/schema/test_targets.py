"""targets.yaml: what comes with edgebench loads, and every slip is named with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench import plugins
from edgebench.cli import targets as cli
from edgebench.device import emulator, provisioning
from edgebench.device.transports import open_transport
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.schema import targets
from edgebench.schema.targets import Target

SHIPPED = Path(targets.__file__).parents[2] / "targets.yaml"


def load(text: str, folder: Path) -> dict[str, Target]:
    path = folder / "targets.yaml"
    path.write_text(text)
    return targets.load_all(path)


# ------------------------------------------------------------------ what ships


def test_the_shipped_targets_load_and_have_a_description() -> None:
    known = targets.load_all(SHIPPED)
    assert {"desktop-cpu", "desktop-gpu", "rpi4", "rpi4-emulated"} <= known.keys()
    assert all(target.description and target.name == name for name, target in known.items())


@pytest.mark.parametrize("target", targets.load_all(SHIPPED).values(), ids=lambda target: target.name)
def test_what_a_shipped_target_names_exists(target: Target) -> None:
    assert target.transport in plugins.names("edgebench.device.transports")
    assert set(target.runtimes) <= set(plugins.names("device_agents.python.runtimes"))


def test_only_targets_that_are_no_devices_are_emulated() -> None:
    known = targets.load_all(SHIPPED)
    assert [name for name, target in known.items() if target.emulated] == [
        "rpi4-emulated",
        "rpi5-emulated",
        "simulated",
    ]


def test_every_key_is_explained_in_the_file() -> None:
    comments = "".join(line for line in SHIPPED.read_text().splitlines(keepends=True) if line.startswith("#"))
    for key in Target.__struct_fields__:
        if key not in ("name", "description"):
            assert f" {key}" in comments, key


def test_the_defaults_are_one_thread_of_the_processor(tmp_path: Path) -> None:
    (target,) = load("mine:\n  transport: local\n", tmp_path).values()
    assert (target.name, target.device, target.threads, target.emulated) == ("mine", "cpu", 1, False)
    elsewhere = {"simulated", "onnxruntime-web", "onnxruntime-webgpu", "litert-web", "benchmark-model"}
    assert set(target.runtimes) == set(plugins.names("device_agents.python.runtimes")) - elsewhere


# ------------------------------------------------------------------ which file


def test_the_file_beside_the_work_comes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets.find_file(None) == SHIPPED
    (tmp_path / "targets.yaml").write_text("mine:\n  transport: local\n")
    assert targets.find_file(None).resolve() == tmp_path / "targets.yaml"
    other = tmp_path / "other.yaml"
    other.write_text("")
    assert targets.find_file(other) == other


def test_a_given_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"gone\.yaml: there is no such file"):
        targets.find_file(tmp_path / "gone.yaml")


# ------------------------------------------------------------------ slips


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine:\n  transport: local\n  thread: 4\n", "unknown key 'thread'. Did you mean 'threads'?"),
        ("mine:\n  transprot: local\n", "Did you mean 'transport'?"),
        ("mine:\n  transport: local\n  colour: red\n", "unknown key 'colour'. Known: transport, "),
        ("mine:\n  transport: local\n  name: other\n", "unknown key 'name'"),
        ("mine:\n  transport: local\n  1: one\n", "unknown key '1'"),
        ("mine:\n  description: no transport\n", "missing required field `transport`"),
        ("mine:\n  transport: local\n  threads: four\n", "`$.threads`"),
        ("mine:\n  transport: local\n  threads: 1.5\n", "`$.threads`"),
        ("mine:\n  transport: local\n  threads: true\n", "`$.threads`"),
        ("mine:\n  transport: ssh\n  port: '22'\n", "`$.port`"),
        ("mine:\n  transport: local\n  emulated: maybe\n", "`$.emulated`"),
        ("mine:\n  transport: local\n  device: tpu\n", "`$.device`"),
        ("mine:\n  transport: local\n  runtimes: onnxruntime\n", "`$.runtimes`"),
        ("mine:\n  transport: ssh\n  host: 192\n", "`$.host`"),
        ("mine:\n", "it has no keys"),
        ("mine: local\n", "it has no keys"),
        ("mine: [local]\n", "it has no keys"),
    ],
)
def test_a_slip_in_an_entry_is_named_with_its_target(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="target 'mine'") as caught:
        load(text, tmp_path)
    assert said in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "- mine\n", "mine\n", "42\n"])
def test_yaml_that_is_no_mapping_holds_no_targets(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="it contains no targets"):
        load(text, tmp_path)


@pytest.mark.parametrize("text", ["mine: {transport: local\n", "\tmine: 1\n", "mine: !!python/object:os.system {}\n"])
def test_what_is_not_plain_yaml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="it is not YAML"):
        load(text, tmp_path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_bytes(b"mine:\n  host: \xff\xfe\n")
    with pytest.raises(BadFile, match="it is not YAML"):
        targets.load_all(tmp_path / "targets.yaml")


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        load("mine:\n  transport: local\n  description: 2026-13-45\n", tmp_path)


@pytest.mark.parametrize("slip", ["threads: 0", "threads: -1", "port: 0", "port: 70000"])
def test_a_number_out_of_range_is_refused(slip: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="target 'mine'"):
        load(f"mine:\n  transport: ssh\n  host: h\n  {slip}\n", tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc", "a/b", "..", '""'])
def test_a_name_that_cannot_be_a_folder_of_results_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        load(f"{name}:\n  transport: local\n", tmp_path)


# ------------------------------------------------------------------ names that exist nowhere


def test_an_unknown_target_is_answered_with_a_guess_and_the_file() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rpi4'") as caught:
        targets.load("rpi5", SHIPPED)
    assert str(SHIPPED) in str(caught.value)


def test_an_unknown_transport_is_answered_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ssh'"):
        open_transport(Target(name="mine", transport="shh"))


def test_an_unknown_runtime_is_answered_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'tflite-runtime'"):
        provisioning.can_install("tflite-runtme", Target(name="mine", transport="local"))


def test_ssh_without_a_host_says_what_to_add() -> None:
    with pytest.raises(UserError, match="it has no `host`. Add `host:`"):
        open_transport(Target(name="mine", transport="ssh"))


@pytest.mark.parametrize(
    "target", [Target("mine", "ssh", host="-oProxyCommand=x"), Target("mine", "ssh", "", "h", "-l")]
)
def test_what_ssh_would_take_for_an_option_is_refused(target: Target) -> None:
    with pytest.raises(UserError, match="cannot start with '-'"):
        open_transport(target)


@pytest.mark.parametrize("named", [True, False])
def test_an_emulated_board_that_is_up_says_which_target_measures_on_it(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the file in force; what it is told to put there makes one."""
    machine = emulator.EmulatedMachine("rpi5", tmp_path)
    monkeypatch.setattr(emulator, "ensure_running", lambda board, progress: machine)
    path = tmp_path / "targets.yaml"
    path.write_text("five:\n  transport: ssh\n  host: edgebench-rpi5\n" if named else "mine:\n  transport: local\n")
    cli.emulate("rpi5", file=path)
    said = capsys.readouterr().out
    if named:
        assert "edgebench deploy --target five" in said
        return
    _, _, entry = said.partition("add this:\n\n")
    path.write_text(path.read_text() + entry)
    assert targets.load("rpi5-emulated", path).emulated
