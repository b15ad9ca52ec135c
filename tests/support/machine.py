"""A made-up machine: its /proc and /sys tree, what the agent reads there, and a journal that keeps its lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device_agents.python import facts, firmware
from edgebench.schema.facts import Facts

PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
    "proc/cpuinfo": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nprocessor\t: 1\nCPU part\t: 0xd08\n"
        "Revision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    ),
    "proc/meminfo": "MemTotal:        3885396 kB\nMemFree:  100 kB\nMemAvailable:    3200000 kB\nHugePages_Total:  0\n",
    "proc/uptime": "12345.67 40000.00\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\n',
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "600000\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1800000\n",
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine; no vcgencmd on it."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(facts, "ROOT", folder)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    firmware._has_program.cache_clear()
    return folder


def plant(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def all_facts() -> Facts:
    """As the host reads them: over JSON, strictly."""
    told = json.dumps({**facts.static_facts(), **facts.momentary_facts()})
    return msgspec.json.decode(told, type=Facts)


class Notebook:
    """Takes journal lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})
