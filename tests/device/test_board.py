"""A whole deploy to an emulated Raspberry Pi 4: real sshd, real ARM processes, real wheels, no internet there.

One machine serves all tests of this file, in order: the first ones find it bare, the later ones find runtimes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from edgebench import compare, deploy
from edgebench.analysis import verdict
from edgebench.device import agent, emulator
from edgebench.device.emulator.machine import EmulatedMachine
from edgebench.device.transports import ssh
from edgebench.errors import UserError
from edgebench.files import cache as cache_
from edgebench.progress import Progress, Silent
from edgebench.recommend import counting
from edgebench.schema import bundle, targets
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import USERS_CACHE, make_relu_bundle, run_cli

pytestmark = [pytest.mark.board, pytest.mark.slow]

SILENT = Silent()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedMachine]:
    try:
        started = emulator.start("rpi4", run=tmp_path_factory.mktemp("board"), root=USERS_CACHE)
    except UserError as error:
        pytest.skip(f"no emulated board: {error}")
    yield started
    started.stop()


@pytest.fixture
def board(machine: EmulatedMachine, cache: Path) -> Target:
    """The target, with the cached wheels of earlier runs."""
    (USERS_CACHE / "wheels").mkdir(parents=True, exist_ok=True)
    cache.mkdir()
    (cache / "wheels").symlink_to(USERS_CACHE / "wheels")
    return Target(
        name="board", transport="ssh", ssh_config=str(machine.ssh_config), host=machine.host_alias, emulated=True
    )


def on_board(machine: EmulatedMachine, command: str) -> str:
    done = subprocess.run(
        ["ssh", "-F", str(machine.ssh_config), machine.host_alias, command], capture_output=True, text=True, timeout=120
    )
    return done.stdout.strip()


def measure(target: Target, folder: Path, plan: Plan, results: Path, progress: Progress = SILENT) -> list[Record]:
    return deploy.deploy(target, deploy.artifacts_at([folder]), plan, results, progress=progress)


def relu_tflite(folder: Path) -> Path:
    """A bundle of one file, for tests of other things: one runtime is probed and one worker started."""
    whole = bundle.load(make_relu_bundle(folder, expected=[0.0, 1.0, 2.0]))
    only = tuple(one for one in whole.artifacts if one.format == "tflite")
    bundle.save(msgspec.structs.replace(whole, artifacts=only), folder)
    return folder


# What a Python has to import takes ten times as long there: what several tests look at is made once for all of them.


@dataclass
class Made:
    there: list[Record] = field(default_factory=list)
    here: list[Record] = field(default_factory=list)
    counts: list[dict[str, tuple[int, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture
def networks(board: Target, tiny_plan: Plan, tmp_path: Path, made: Made) -> Made:
    """A trained, pruned and quantised network, measured there and here."""
    if not made.there:
        folder = Path(__file__).parents[1] / "data/bundle"
        made.there = measure(board, folder, tiny_plan, tmp_path / "results")
        made.here = measure(Target(name="here", transport="local"), folder, tiny_plan, tmp_path / "results")
    return made


def count(board: Target, made: Made, folder: Path) -> None:
    sources = deploy.artifacts_at([make_relu_bundle(folder, expected=[0.0, 1.0, 2.0])])
    made.counts.append(counting.count_on(board, sources, Silent()))


def test_the_board_is_bare_and_cut_off(machine: EmulatedMachine) -> None:
    assert on_board(machine, "uname -m") == "aarch64"
    assert on_board(machine, "python3 -c 'import numpy' 2>/dev/null && echo yes") == ""
    assert on_board(machine, "timeout 5 bash -c 'echo > /dev/tcp/1.1.1.1/53' 2>/dev/null && echo yes") == ""


def test_runtimes_arrive_and_outputs_are_those_of_this_machine(machine: EmulatedMachine, networks: Made) -> None:
    there, here = networks.there, networks.here
    assert {one.runtime.name for one in there} == {"onnxruntime", "litert"}
    for one in there:
        assert one.outcome.status in ("complete", "budget")
        assert one.golden and one.golden.passed and one.rounds
        assert one.target.emulated and one.facts_before.emulated
        assert one.facts_before.machine == "aarch64" and one.facts_before.cpu == "Cortex-A72"
        assert one.facts_before.throttled == 0 and one.facts_before.governor == "ondemand"
        assert one.memory and one.memory.running["high_water_bytes"] > 20e6
    rows = compare.compare(here + there).rows
    assert len(rows) == 8 and all(row.ratio and row.record.job == there[0].job for row in rows[4:])
    assert on_board(machine, "ls ~/.cache/edgebench/agent/jobs") == ""


def test_real_networks_answer_on_arm_as_they_did_here(networks: Made) -> None:
    """INT8 bit for bit, fp32 within rounding."""
    matches = {match.artifact: match for match in compare.compare(networks.here + networks.there).outputs}
    assert len(matches) == 4
    for name, match in matches.items():
        assert match.top1_agreement == 1
        assert match.identical if "int8" in name else match.max_abs_diff < 1e-4


def test_a_second_deploy_sends_nothing(
    board: Target, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Path] = []
    count(board, made, tmp_path / "first")
    monkeypatch.setattr(agent.Agent, "send", lambda self, files: sent.extend(path for _, path in files))
    count(board, made, tmp_path / "second")
    assert sent == []


def test_counted_instructions_are_the_same_each_time(board: Target, made: Made, tmp_path: Path) -> None:
    for number in range(len(made.counts), 2):
        count(board, made, tmp_path / str(number))
    first, second = made.counts
    assert set(first) == {"relu-onnx-fp32", "relu-tflite-fp32"}
    for name, (number, runtime) in first.items():
        assert 1_000 < number < 1_000_000
        assert second[name][0] == pytest.approx(number, rel=0.05)
        assert runtime == second[name][1]
        assert runtime.split()[0] == ("onnxruntime" if "onnx" in name else "litert")


def set_board(machine: EmulatedMachine, *, throttled: str, millidegrees: int) -> None:
    temperature = "/run/fakepi/thermal/thermal_zone0/temp"
    on_board(machine, f"sudo sh -c 'echo {throttled} > /run/fakepi/throttled; echo {millidegrees} > {temperature}'")


def test_heat_and_throttling_are_seen(machine: EmulatedMachine, board: Target, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, gate_max_s=1.0)  # it is hot until the end
    set_board(machine, throttled="0x50005", millidegrees=82000)
    try:
        (one,) = measure(board, relu_tflite(tmp_path / "relu"), plan, tmp_path / "results")
    finally:
        set_board(machine, throttled="0x0", millidegrees=48312)
    assert one.facts_before.throttled == 0x50005 and one.facts_before.temperature_c == 82.0
    judged = verdict.judge(one)
    assert judged.level == "invalid"
    assert any("under-voltage, throttled" in reason.seen for reason in judged.reasons)


def test_a_lost_link_is_taken_up_again(
    machine: EmulatedMachine, board: Target, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network goes away in the middle of the rounds; the job continues there and nothing is lost."""
    monkeypatch.setattr(ssh, "KEEP_ALIVE_S", 2)
    said: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "say", said.append)
    folder = relu_tflite(tmp_path / "long")
    plan = msgspec.structs.replace(tiny_plan, rounds_min=16, seconds_max=60.0, round_s=0.1, precision=10.0)
    results = tmp_path / "results"
    cut: list[int] = []
    over = threading.Event()

    def cut_the_link() -> None:
        while not over.wait(0.2):
            for journal in results.glob("board/.jobs/*/journal.jsonl"):
                count = journal.read_bytes().count(b'"event":"round"')
                if count >= 3:
                    machine.link(False)
                    time.sleep(9)  # longer than ssh's keep-alive allows
                    cut.append(count)
                    machine.link(True)
                    return

    thread = threading.Thread(target=cut_the_link)
    thread.start()
    try:
        (one,) = measure(board, folder, plan, results, progress)
    finally:
        over.set()
        thread.join()
    assert cut and cut[0] < 16
    assert any("reconnecting" in line for line in said), said
    assert one.outcome.status == "complete"
    assert len(one.rounds) >= 16
    assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds)))


def test_check_says_what_is_there(machine: EmulatedMachine, tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text(
        f"board: {{transport: ssh, ssh_config: {machine.ssh_config}, host: {machine.host_alias}, emulated: true}}\n"
    )
    done = run_cli("targets", "check", "board", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Raspberry Pi 4" in done.stdout and "(installed by edgebench)" in done.stdout and "Cortex-A72" in done.stdout


def test_the_shipped_targets_name_the_machine_that_emulate_makes() -> None:
    entry = targets.load("rpi4-emulated", targets.find_file(None))
    machine = emulator.find("rpi4")
    assert Path(entry.ssh_config.replace("{cache}", str(cache_.folder()))) == machine.ssh_config
    assert entry.host == machine.host_alias and entry.emulated
    assert shutil.which("ssh") and os.environ["EDGEBENCH_CACHE"]
