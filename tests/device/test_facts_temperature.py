"""A device's temperature and its clock: which sensors and processors count, and those that cannot be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from device_agents.python import facts, load
from tests.support.machine import PI_4, all_facts, plant
from tests.support.machine import root as root

# ------------------------------------------------------------------ temperature


def test_the_hottest_zone_counts(root: Path) -> None:
    plant(root, {f"sys/class/thermal/thermal_zone{n}/temp": t for n, t in enumerate(["41000", "55500\n", "-2000"])})
    assert facts.temperature_c() == 55.5


def test_a_zone_that_cannot_be_read_does_not_hide_the_others(root: Path) -> None:
    plant(root, {"sys/class/thermal/thermal_zone0/temp": "", "sys/class/thermal/thermal_zone1/temp": "40000"})
    assert facts.temperature_c() == 40
    plant(root, {"sys/class/thermal/thermal_zone1/temp": "-5000"})
    assert facts.temperature_c() == -5


def refuse_reading(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Files with this ending exist, but reading them is an error."""
    real = os.read

    def read(handle: int, count: int) -> bytes:
        if str(Path(f"/proc/self/fd/{handle}").readlink()).endswith(name):
            raise OSError(code, os.strerror(code))
        return real(handle, count)

    monkeypatch.setattr(facts.os, "read", read)


def test_a_zone_that_answers_with_an_error_does_not_hide_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(root, {"sys/class/thermal/thermal_zone0/temp": "90000", "sys/class/thermal/thermal_zone1/temp": "40000"})
    refuse_reading(monkeypatch, "thermal_zone0/temp", errno.EINVAL)
    assert all_facts().temperature_c == 40
    refuse_reading(monkeypatch, "/temp", errno.EINVAL)
    assert all_facts().temperature_c is None


def test_without_zones_the_hottest_hwmon_sensor_counts(root: Path) -> None:
    plant(root, {"sys/class/hwmon/hwmon1/temp1_input": "61000", "sys/class/hwmon/hwmon1/temp2_input": "65000"})
    assert facts.temperature_c() == 65
    plant(root, {"sys/class/thermal/thermal_zone0/temp": "30000"})
    facts._sensors.cache_clear()  # sensors are looked for once
    assert facts.temperature_c() == 30


def test_without_any_sensor_there_is_no_temperature() -> None:
    assert facts.temperature_c() is None


# ------------------------------------------------------------------ clock


def test_processors_that_are_offline_have_no_clock_and_hide_no_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their policy stays, and reading it is refused; some kernels say <unknown>."""
    offline = "sys/devices/system/cpu/cpufreq/policy4"
    names = ("scaling_governor", "scaling_cur_freq", "scaling_max_freq", "stats/time_in_state")
    plant(root, {**PI_4, **{f"{offline}/{name}": "2400000 1" for name in names}})
    with monkeypatch.context() as patched:
        for name in names:
            refuse_reading(patched, f"policy4/{name}", errno.EBUSY)
        known = all_facts()
        assert (known.governor, known.clock_hz, known.clock_max_hz) == ("ondemand", 600_000_000, 1_800_000_000)
        assert facts.clocks_s() == {}
    plant(root, {f"{offline}/scaling_cur_freq": "<unknown>"})
    assert facts.clock_hz() == 600_000_000


def test_how_long_the_clock_had_which_value(root: Path) -> None:
    assert facts.clocks_s() == {}
    plant(root, {**PI_4, "sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state": "600000 1000\n1800000 50\n"})
    facts._policies.cache_clear()
    before = facts.clocks_s()
    assert before == {"policy0": {600_000_000: 10.0, 1_800_000_000: 0.5}}
    plant(root, {"sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state": "600000 1000\n1800000 250\n"})
    assert load._clocks_spent(before, facts.clocks_s()) == {"policy0": {"1800000000": 2.0}}
