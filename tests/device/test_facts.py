"""What the agent reports about a device and its supply, from made-up /proc and /sys trees."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from device_agents.python import facts
from tests.support.machine import PI_4, all_facts, plant
from tests.support.machine import root as root

XEON = {
    "sys/class/dmi/id/product_name": "PowerEdge R750\n",
    "proc/cpuinfo": (
        "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz\n"
        "flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni hypervisor\n"
    ),
}


def test_a_raspberry_pi_says_what_it_is(root: Path) -> None:
    plant(root, PI_4)
    known = all_facts()
    assert known.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert known.cpu == "Cortex-A72" and known.cpu_features == ("asimd",)
    assert known.emulated is False and known.virtual_machine is False
    assert known.ram_bytes == 3885396 * 1024 and known.available_bytes == 3200000 * 1024
    assert known.os == "Debian GNU/Linux 13 (trixie)"
    assert (known.governor, known.clock_hz, known.clock_max_hz) == ("ondemand", 600_000_000, 1_800_000_000)
    assert known.temperature_c == 48.686 and known.uptime_s == 12345.67


def test_a_raspberry_pi_5_has_dot_products(root: Path) -> None:
    plant(root, {"proc/cpuinfo": "Features\t: fp asimd aes fphp asimdhp asimddp\nCPU part\t: 0xd0b\n"})
    assert all_facts().cpu == "Cortex-A76"
    assert set(all_facts().cpu_features) == {"asimd", "asimdhp", "asimddp"}


def test_a_part_that_is_not_in_the_table_is_said_by_its_number(root: Path) -> None:
    plant(root, {"proc/cpuinfo": "CPU part\t: 0xfff\n"})
    assert all_facts().cpu == "0xfff"


def test_a_32_bit_kernel_names_the_core_as_well(root: Path) -> None:
    cpuinfo = "model name\t: ARMv7 Processor rev 3 (v7l)\nFeatures\t: half neon\nCPU part\t: 0xd08\n"
    plant(root, {"proc/cpuinfo": cpuinfo})
    assert "Cortex-A72" in str(all_facts().cpu)


def test_a_server_says_its_processor_and_that_it_is_virtual(root: Path) -> None:
    plant(root, XEON)
    known = all_facts()
    assert known.model == "PowerEdge R750" and known.cpu == "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz"
    assert set(known.cpu_features) == {"avx2", "fma", "avx512f", "avx512_vnni"}
    assert known.virtual_machine is True and known.emulated is False


def test_an_emulated_board_gives_itself_away_whatever_its_model_says(root: Path) -> None:
    plant(root, {**PI_4, "proc/device-tree/compatible": "raspberrypi,4-model-b\0linux,dummy-virt\0"})
    assert all_facts().emulated is True and all_facts().model == "Raspberry Pi 4 Model B Rev 1.4"


def test_gpus_are_what_the_driver_shows(root: Path) -> None:
    plant(root, {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nIRQ:   \t\t 52\n"})
    assert all_facts().gpus == ("NVIDIA H200",)


def test_what_cannot_be_read_is_left_out(root: Path) -> None:
    told = {**facts.static_facts(), **facts.momentary_facts()}
    unknown = {"model", "cpu", "ram_bytes", "os", "governor", "clock_hz", "temperature_c", "throttled", "uptime_s"}
    assert not unknown & told.keys()
    assert None not in told.values()
    assert told["gpus"] == [] and told["cores"] >= 1 and told["clock_step_ns"] > 0
    all_facts()


def test_files_full_of_nonsense_are_left_out_as_well(root: Path) -> None:
    plant(root, {name: "\x7fELF nonsense" for name in PI_4 if not name.endswith(("model", "uptime"))})
    known = all_facts()
    assert (known.ram_bytes, known.clock_hz, known.temperature_c, known.os) == (None, None, None, None)


def test_cores_with_governors_of_their_own_are_all_said(root: Path) -> None:
    per_core = {}
    for core, (governor, clock_khz) in enumerate([("schedutil", 408000), ("performance", 2400000)]):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        per_core |= {f"{folder}/scaling_governor": governor, f"{folder}/scaling_cur_freq": str(clock_khz)}
    plant(root, per_core)
    assert all_facts().governor == "performance,schedutil" and all_facts().clock_hz == 2_400_000_000


@pytest.mark.parametrize(
    ("machine", "pointer_bytes", "said"),
    [("aarch64", 4, "armv7l"), ("aarch64", 8, "aarch64"), ("armv7l", 4, "armv7l"), ("x86_64", 8, "x86_64")],
)
def test_a_32_bit_userland_on_a_64_bit_kernel_needs_32_bit_wheels(
    machine: str, pointer_bytes: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = struct.calcsize
    monkeypatch.setattr(facts.platform, "machine", lambda: machine)
    monkeypatch.setattr(facts.struct, "calcsize", lambda code: pointer_bytes if code == "P" else real(code))
    assert facts.static_facts()["machine"] == said


def test_a_system_without_glibc_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(facts.os, "confstr", unknown)
    assert "libc" not in facts.static_facts()


def test_the_agent_reads_the_tree_that_the_environment_names(root: Path) -> None:
    """As it is started for real; the other tests replace the folder that was read at import."""
    plant(root, PI_4)
    script = "import json; from device_agents.python import facts; print(json.dumps(facts.static_facts()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "EDGEBENCH_SYSROOT": str(root), "PYTHONPATH": str(Path(facts.__file__).parents[2])},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["model"] == "Raspberry Pi 4 Model B Rev 1.4"


def test_what_feeds_a_device(root: Path) -> None:
    known = all_facts()
    assert known.on_battery is None and known.charging is None and known.supply_a is None
    (root / "proc/device-tree/chosen/power").mkdir(parents=True)
    (root / "proc/device-tree/chosen/power/max_current").write_bytes((5000).to_bytes(4, "big"))
    assert all_facts().supply_a == 5
    plant(root, {"sys/class/power_supply/BAT0/type": "Battery\n", "sys/class/power_supply/BAT0/status": "Charging\n"})
    assert all_facts().on_battery is False and all_facts().charging is True
    plant(root, {"sys/class/power_supply/BAT0/status": "Discharging\n"})
    assert all_facts().on_battery is True and all_facts().charging is False
    plant(root, {"sys/class/power_supply/BAT0/status": "Full\n"})
    assert all_facts().on_battery is False and all_facts().charging is False
