"""RAPL: what its counters add up to, where they start again, and what is said where they cannot be read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from device_agents.python.meters import Unavailable, rapl
from tests.device_meters import root as root
from tests.device_meters import why_not
from tests.machine import plant

ZONES = "sys/class/powercap"
RANGE_UJ = 262_143_328_850


def zone(path: str, name: str, energy_uj: int, range_uj: int | None = RANGE_UJ) -> dict[str, str]:
    files = {f"{ZONES}/{path}/name": f"{name}\n", f"{ZONES}/{path}/energy_uj": f"{energy_uj}\n"}
    if range_uj is not None:
        files[f"{ZONES}/{path}/max_energy_range_uj"] = f"{range_uj}\n"
    return files


def rapl_joules(root: Path, after: dict[str, int]) -> dict[str, float]:
    meter = rapl.open_meter()
    first = meter.read()
    plant(root, {f"{ZONES}/{path}/energy_uj": str(value) for path, value in after.items()})
    return meter.joules(first, meter.read())


def test_rapl_mends_the_wrap_of_the_kernel_documentation(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 262_143_000_000))
    assert rapl_joules(root, {"intel-rapl:0": 1_000_000}) == {"cpu_package": pytest.approx(1.328850)}


def test_rapl_without_a_range_cannot_mend_a_wrap(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 2_000_000, range_uj=None))
    with pytest.raises(Unavailable, match="does not say where it starts again"):
        rapl_joules(root, {"intel-rapl:0": 1_000_000})


def test_rapl_refuses_a_window_with_room_for_two_wraps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    before_s, zones = meter.read()
    with pytest.raises(Unavailable, match="more than once in 3600 s"):
        meter.joules((before_s, zones), (before_s + 3600, zones))


def test_rapl_counts_one_counter_under_two_packages_once(root: Path) -> None:
    plant(
        root,
        {**zone("intel-rapl:0", "package-0-die-0", 7_000_000), **zone("intel-rapl:1", "package-0-die-1", 7_000_000)},
    )
    assert rapl_joules(root, {"intel-rapl:0": 9_000_000, "intel-rapl:1": 9_000_000}) == {"cpu_package": 2.0}


def test_rapl_takes_the_memory_mapped_window_where_it_is_the_only_one(root: Path) -> None:
    plant(root, zone("intel-rapl-mmio:0", "package-0", 1_000_000))
    assert rapl_joules(root, {"intel-rapl-mmio:0": 3_000_000}) == {"cpu_package": 2.0}


def test_rapl_of_an_amd_has_a_package_and_no_memory(root: Path) -> None:
    plant(root, {**zone("intel-rapl:0", "package-0", 0), **zone("intel-rapl:0/intel-rapl:0:0", "core", 0)})
    assert rapl_joules(root, {"intel-rapl:0": 5_000_000}) == {"cpu_package": 5.0}


def test_rapl_that_is_for_root_says_the_command_that_helps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))

    def refuse(zone: Path) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rapl, "_counter", refuse)
    assert why_not(rapl.open_meter) == (
        "RAPL is readable by root only; sudo chmod a+r /sys/class/powercap/*/energy_uj "
        "/sys/class/powercap/*/*/energy_uj (until it restarts)"
    )


def test_rapl_knows_its_joules_to_a_step_and_a_period(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    (path,) = meter.read()[1]
    left = meter.u_joules((0.0, {path: 0}), (10.0, {path: 100_000_000}))
    assert left == {"cpu_package": pytest.approx(math.hypot(61e-6 / math.sqrt(6), 1e-3 * 10 / math.sqrt(6)))}


def test_rapl_in_a_container_says_so(root: Path) -> None:
    plant(root, {".dockerenv": ""})
    assert "containers hide them; run outside" in why_not(rapl.open_meter)


def test_rapl_that_shows_the_platform_only_is_not_taken_for_a_processor(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "psys", 0))
    assert "no package zone here (psys only)" in why_not(rapl.open_meter)


def test_rapl_that_goes_away_ends_its_windows_not_the_job(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    (root / ZONES / "intel-rapl:0/energy_uj").unlink()
    with pytest.raises(Unavailable, match="any more"):
        meter.read()
