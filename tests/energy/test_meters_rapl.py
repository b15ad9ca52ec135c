"""RAPL: the sum of its counters, their wraps, and the message if they cannot be read."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import meters
from device_agents.python.meters import Unavailable, _rapl_perf, rapl
from tests.support.device_meters import root as root
from tests.support.device_meters import why_not
from tests.support.machine import plant

ZONES = "sys/class/powercap"
RANGE_UJ = 262_143_328_850


def zone(path: str, name: str, energy_uj: int = 0, range_uj: int | None = RANGE_UJ) -> dict[str, str]:
    files = {f"{ZONES}/{path}/name": f"{name}\n", f"{ZONES}/{path}/energy_uj": f"{energy_uj}\n"}
    if range_uj is not None:
        files[f"{ZONES}/{path}/max_energy_range_uj"] = f"{range_uj}\n"
    return files


LAPTOP = {
    **zone("intel-rapl:0", "package-0", 1_000_000),
    **zone("intel-rapl:0/intel-rapl:0:0", "core", 400_000),
    **zone("intel-rapl:0/intel-rapl:0:1", "uncore", 100_000),
    **zone("intel-rapl:1", "psys", 9_000_000),
}
SERVER = {
    **zone("intel-rapl:0", "package-0", 1_000_000),
    **zone("intel-rapl:0/intel-rapl:0:0", "dram", 200_000, 65_712_999_613),
    **zone("intel-rapl:1", "package-1", 5_000_000),
    **zone("intel-rapl:1/intel-rapl:1:0", "dram", 300_000, 65_712_999_613),
}


def joules(root: Path, before: Mapping[str, str], after: Mapping[str, int]) -> dict[str, float]:
    """The meter's reading after the counters of these zones have moved to these values, in µJ."""
    plant(root, before)
    return rapl_joules(root, after)


def rapl_joules(root: Path, after: Mapping[str, int]) -> dict[str, float]:
    meter = rapl.open_meter()
    first = meter.read()
    plant(root, {f"{ZONES}/{path}/energy_uj": str(value) for path, value in after.items()})
    return meter.joules(first, meter.read())


# ------------------------------------------------------------------ what is counted


def test_rapl_counts_the_package_and_never_adds_what_contains_it_or_is_inside(root: Path) -> None:
    moved = {"intel-rapl:0": 3_500_000, "intel-rapl:0/intel-rapl:0:0": 2_000_000, "intel-rapl:1": 99_000_000}
    assert joules(root, LAPTOP, moved) == {"cpu_package": 2.5}


def test_rapl_adds_packages_and_keeps_dram_apart(root: Path) -> None:
    moved = {
        "intel-rapl:0": 3_000_000,
        "intel-rapl:1": 6_000_000,
        "intel-rapl:0/intel-rapl:0:0": 700_000,
        "intel-rapl:1/intel-rapl:1:0": 550_000,
    }
    assert joules(root, SERVER, moved) == pytest.approx({"cpu_package": 3.0, "dram": 0.75})


def test_a_counter_that_wrapped_is_mended_by_its_own_range(root: Path) -> None:
    before = {
        **zone("intel-rapl:0", "package-0", RANGE_UJ - 1_000_000),
        **zone("intel-rapl:0/intel-rapl:0:0", "dram", 5_000_000, 65_712_999_613),
    }
    moved = {"intel-rapl:0": 4_000_000, "intel-rapl:0/intel-rapl:0:0": 1_000_000}
    assert joules(root, before, moved) == pytest.approx({"cpu_package": 5.0, "dram": 65_712.999_613 - 4})


def test_a_counter_that_stands_still_is_broken(root: Path) -> None:
    """No package draws nothing; of memory some processors list a counter that never moves, which is left out."""
    plant(root, SERVER)
    meter = rapl.open_meter()
    before_s, zones = meter.read()
    with pytest.raises(Unavailable, match=r"its counter stood still for 10\.0 s"):
        meter.joules((before_s, zones), (before_s + 10, zones))
    moved = {zone: count + ("dram" not in (zone / "name").read_text()) * 5_000_000 for zone, count in zones.items()}
    assert meter.joules((before_s, zones), (before_s + 10, moved)) == {"cpu_package": 10.0}
    assert joules(root, LAPTOP, {}) == {"cpu_package": 0}  # within a moment it says nothing


def test_the_memory_mapped_twin_of_a_package_is_not_counted_twice(root: Path) -> None:
    """Newer Intel kernels list package-0 once more under intel-rapl-mmio."""
    twice = {**LAPTOP, **zone("intel-rapl-mmio:0", "package-0", 1_000_000)}
    assert joules(root, twice, {"intel-rapl:0": 2_000_000, "intel-rapl-mmio:0": 2_000_000}) == {"cpu_package": 1.0}


def test_rapl_mends_the_wrap_of_the_kernel_documentation(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 262_143_000_000))
    assert rapl_joules(root, {"intel-rapl:0": 1_000_000}) == {"cpu_package": pytest.approx(1.328850)}


def test_rapl_without_a_range_cannot_mend_a_wrap(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 2_000_000, range_uj=None))
    with pytest.raises(Unavailable, match="does not say where it wraps"):
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


def test_rapl_knows_its_joules_to_a_step_and_a_period(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    (path,) = meter.read()[1]
    left = meter.u_joules((0.0, {path: 0}), (10.0, {path: 100_000_000}))
    assert left == {"cpu_package": pytest.approx(61e-6 / math.sqrt(6))} and meter.age_s == 1e-3


# ------------------------------------------------------------------ counters that cannot be read


def test_without_rapl_the_reason_is_said() -> None:
    with pytest.raises(meters.Unavailable, match="no RAPL counters in /sys/class/powercap"):
        rapl.open_meter()


def test_a_machine_with_psys_only_has_no_package(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "psys"))
    with pytest.raises(meters.Unavailable, match="no package zone"):
        rapl.open_meter()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "readable by root only; sudo chmod a\\+r"),
        (OSError(61, "No data available"), "cannot be read: .*No data available"),
    ],
)
def test_counters_that_cannot_be_read_say_why_and_how_to_mend_it(
    error: OSError, said: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the refusal is simulated."""
    plant(root, LAPTOP)
    real = Path.read_text

    def refuse(path: Path, *arguments: Any, **keywords: Any) -> str:
        if path.name == "energy_uj":
            raise error
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(meters.Unavailable, match=said):
        rapl.open_meter()


def test_rapl_that_is_for_root_says_the_command_that_helps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))

    def refuse(zone: Path) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rapl, "_counter", refuse)
    assert why_not(rapl.open_meter) == (
        "RAPL is readable by root only; sudo chmod a+r /sys/class/powercap/*/energy_uj "
        "/sys/class/powercap/*/*/energy_uj (until reboot)"
    )


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


# ------------------------------------------------------------------ through perf events

POWER = "sys/bus/event_source/devices/power"
STEP_J = 2.0**-32
PMU = {
    f"{POWER}/type": "23\n",
    f"{POWER}/cpumask": "0,18\n",
    f"{POWER}/events/energy-pkg": "event=0x02\n",
    f"{POWER}/events/energy-pkg.scale": "2.3283064365386962890625e-10\n",
    f"{POWER}/events/energy-pkg.unit": "Joules\n",
    f"{POWER}/events/energy-ram": "event=0x03\n",
    f"{POWER}/events/energy-ram.scale": "2.3283064365386962890625e-10\n",
    f"{POWER}/events/energy-ram.unit": "Joules\n",
    f"{POWER}/events/energy-psys": "event=0x05\n",
}


class Kernel:
    """perf_event_open, and what it opened: {(event, processor): counter file}."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened: dict[tuple[int, int], Path] = {}
        self.error = 0

    def syscall(self, number: Any, attributes: bytes, pid: Any, cpu: Any, group: Any, flags: Any) -> int:
        kind, size, config = struct.unpack_from("=IIQ", attributes)
        assert (number.value, kind, size, len(attributes)) == (298, 23, 64, 64)
        assert (pid.value, group.value, flags.value) == (-1, -1, 8)
        if self.error:
            ctypes.set_errno(self.error)
            return -1
        path = self._folder / f"counter-{config}-{cpu.value}"
        os.mkfifo(path)
        self.opened[config, cpu.value] = path
        return os.open(path, os.O_RDWR)

    def count(self, joules: Mapping[tuple[int, int], float]) -> None:
        for where, spent in joules.items():
            with self.opened[where].open("r+b", buffering=0) as pipe:
                pipe.write(struct.pack("=Q", round(spent / STEP_J)))


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made_up = Kernel(tmp_path)
    monkeypatch.setattr(_rapl_perf.ctypes, "CDLL", lambda name, use_errno: made_up)
    monkeypatch.setattr(_rapl_perf.platform, "machine", lambda: "x86_64")
    return made_up


def test_counters_that_powercap_hides_are_read_through_perf(root: Path, kernel: Kernel) -> None:
    """Two packages are added up, their memory is apart, psys is left out."""
    plant(root, PMU)
    meter = rapl.open_meter()
    assert kernel.opened.keys() == {(2, 0), (2, 18), (3, 0), (3, 18)} and "perf" in meter.note
    kernel.count({(2, 0): 1.0, (2, 18): 2.0, (3, 0): 0.5, (3, 18): 0.5})
    before = meter.read()
    kernel.count({(2, 0): 11.0, (2, 18): 22.0, (3, 0): 1.5, (3, 18): 2.5})
    after = meter.read()
    assert meter.joules(before, after) == pytest.approx({"cpu_package": 30.0, "dram": 3.0})
    assert 0 < meter.u_joules((0.0, before[1]), (10.0, after[1]))["cpu_package"] < 0.01
    meter.close()
    with pytest.raises(ValueError, match="closed"):
        meter.read()


def test_a_processor_without_memory_counters_has_its_package(root: Path, kernel: Kernel) -> None:
    plant(root, {name: text for name, text in PMU.items() if "ram" not in name} | {f"{POWER}/cpumask": "0-1"})
    meter = rapl.open_meter()
    assert kernel.opened.keys() == {(2, 0), (2, 1)}
    meter.close()


def test_powercap_is_preferred(root: Path, kernel: Kernel) -> None:
    plant(root, {**LAPTOP, **PMU})
    assert isinstance(rapl.open_meter(), rapl.Rapl) and not kernel.opened


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_perf_events_that_are_refused_say_the_command(code: int, root: Path, kernel: Kernel) -> None:
    plant(root, PMU)
    kernel.error = code
    with pytest.raises(
        meters.Unavailable, match=r"no RAPL counters.*; perf events refuse it too.*perf_event_paranoid=0"
    ):
        rapl.open_meter()
    found = meters.probe(lambda name: name == "rapl")["rapl"]
    assert not found["available"] and "sudo sysctl" in found["note"]


def test_a_probe_leaves_no_counter_open(root: Path, kernel: Kernel) -> None:
    plant(root, PMU)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert meters.probe(lambda name: name == "rapl")["rapl"]["available"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
