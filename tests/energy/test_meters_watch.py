"""`edgebench meters`: the list of all meters, watching one, and its calibration."""

from __future__ import annotations

import math
import signal
import subprocess
from pathlib import Path

import pytest

from device_agents.python import facts
from device_agents.python.meters import rapl
from edgebench.energy.meters import _calibration, _um, _watch
from edgebench.errors import UnknownName, UserError
from tests.conftest import cli_command, run_cli
from tests.support.fake_meters import SerialMeter
from tests.support.host_meters import UM25C_VECTOR
from tests.support.host_meters import quick as quick
from tests.support.machine import plant


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A processor with counters that stand still."""
    zone = "sys/class/powercap/intel-rapl:0"
    plant(tmp_path, {f"{zone}/name": "package-0", f"{zone}/energy_uj": "7"})
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    return tmp_path


def test_every_meter_is_listed_with_where_it_is_or_why_not(packages: Path) -> None:
    listed = {one.name: one for one in _watch.listing()}
    assert listed.keys() >= {"rapl", "nvml", "rpi-pmic", "um25c", "tc66c", "fnb58", "ppk2", "csv-serial"}
    assert "simulated" not in listed
    assert listed["rapl"].available
    assert all(one.available or one.note for one in listed.values())


def test_a_counter_is_watched(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "SHOW_S", 0.05)
    shown = list(_watch.watch("rapl", seconds=0.2))
    assert len(shown) >= 3 and shown[-1].seconds >= 0.2
    assert all(one.power_w == {"cpu_package": 0.0} for one in shown)


def test_a_meter_on_a_port_is_watched_and_mended_by_its_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "SHOW_S", 0.1)
    monkeypatch.setattr(_um, "REFRESH_S", 0.02)
    file = tmp_path / "meters.yaml"
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        known = _calibration.Calibration("2026-11-20", 2.0, 0.5, 0.01)
        _calibration.save(f"um25c:{simulated.port}", known, file)
        shown = list(_watch.watch("um25c", port=simulated.port, seconds=0.3, calibrations=file))
    assert len(shown) >= 2
    assert [one.window is not None for one in shown] == [False] * (len(shown) - 1) + [True]
    window = shown[-1].window
    assert window is not None and window.energy_j == pytest.approx(shown[-1].energy_j["board_input"])
    assert window.u_systematic_j == pytest.approx(0.01 * window.energy_j / math.sqrt(3))
    for one in shown:
        assert one.power_w == {"board_input": pytest.approx(2 * 3.352 + 0.5)}
        assert one.energy_j["board_input"] == pytest.approx(one.seconds * (2 * 3.352 + 0.5), rel=1e-6)


def test_a_meter_that_cannot_be_watched_says_why() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'um25c'"):
        _watch.watch("um25")
    with pytest.raises(UserError, match="--port /dev/"):
        list(_watch.watch("um25c"))
    with pytest.raises(UserError, match="neither port nor supply"):
        _watch.watch("rapl:/dev/ttyUSB0")
    with pytest.raises(UserError, match="it measures the voltage itself, so 5 V has no effect"):
        _watch.watch("um25c:/dev/rfcomm0", volts=5.0)
    with pytest.raises(UserError, match="only a Raspberry Pi has it"):
        list(_watch.watch("rpi-pmic"))


def test_the_command_line_lists_watches_and_calibrates(tmp_path: Path) -> None:
    listed = run_cli("meters", cwd=tmp_path)
    assert listed.returncode == 0 and "um25c" in listed.stdout and "rapl" in listed.stdout
    assert "Serial ports: " in listed.stdout
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        watched = run_cli("meters", "watch", "um25c", "--port", simulated.port, "--seconds", "0.6", cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert "board_input 3.352 W" in watched.stdout
    assert "J by sampling; the meter's own accuracy is unknown; short window" in watched.stdout
    assert watched.stdout.count("note: its accuracy is not specified: edgebench meters calibrate um25c") == 1
    points = ["--point", "1.1:1.0", "--point", "5.3:5.0"]
    assert run_cli("meters", "calibrate", "um25c:/dev/rfcomm0", *points, cwd=tmp_path).returncode == 0
    assert _calibration.load(tmp_path / "meters.yaml")["um25c:/dev/rfcomm0"].gain == pytest.approx(4.0 / 4.2)
    assert run_cli("meters", "calibrate", "um25c:/dev/rfcomm0", "--point", "1.1", cwd=tmp_path).returncode == 2
    gone = run_cli("meters", "watch", "um25c", "--port", "/dev/none-such", cwd=tmp_path)
    assert gone.returncode == 1 and "cannot be opened" in gone.stderr


def test_ctrl_c_ends_watching_cleanly(tmp_path: Path) -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        command = cli_command("meters", "watch", "um25c", "--port", simulated.port)
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert "board_input 3.352 W" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and said == ""
