"""What the agent reads of a device, over made-up /proc and /sys trees."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from device_agents.python import facts, firmware, gate, load, meters, watch
from device_agents.python.meters import _rapl_perf, rapl
from edgebench import verdict
from edgebench.facts import Facts
from tests.records import make_record

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
XEON = {
    "sys/class/dmi/id/product_name": "PowerEdge R750\n",
    "proc/cpuinfo": (
        "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz\n"
        "flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni hypervisor\n"
    ),
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine; no vcgencmd on it."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(facts, "ROOT", folder)
    monkeypatch.setattr(rapl, "ROOT", folder)
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


# ------------------------------------------------------------------ what a device is


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
    """Files with this ending are there, and the kernel answers reading them with an error."""
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


def test_without_zones_the_hottest_hwmon_sensor_counts(root: Path) -> None:
    plant(root, {"sys/class/hwmon/hwmon1/temp1_input": "61000", "sys/class/hwmon/hwmon1/temp2_input": "65000"})
    assert facts.temperature_c() == 65
    plant(root, {"sys/class/thermal/thermal_zone0/temp": "30000"})
    facts._sensors.cache_clear()  # sensors are looked for once
    assert facts.temperature_c() == 30


def test_without_any_sensor_there_is_no_temperature() -> None:
    assert facts.temperature_c() is None


class Notebook:
    """Takes journal lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})


class Board:
    """A device that cools by a degree a second, whose clock limit and bits come and go; its time is its own."""

    def __init__(self, celsius: float | None, *, limits_hz: tuple[int | None, ...] = (None,), bits: int = 0) -> None:
        self._celsius, self._limits_hz, self._bits, self._now_s = celsius, limits_hz, bits, 0.0

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds

    def temperature_c(self) -> float | None:
        return None if self._celsius is None else self._celsius - self._now_s

    def clock_limit_hz(self) -> int | None:
        return self._limits_hz[min(int(self._now_s), len(self._limits_hz) - 1)]

    def throttled(self) -> int:
        return self._bits if self._now_s < 2 else self._bits & 0xF0000


def through_gate(board: Board, celsius: float | None = 40.0, *, limit_hz: int | None = None, s: float = 5) -> Any:
    notebook, start = Notebook(), SimpleNamespace(temperature_c=celsius, clock_limit_hz=limit_hz)
    gate.gate({"gate_margin_c": 3.0, "gate_max_s": s}, start, notebook, board)
    (line,) = notebook.lines
    return line


def test_the_gate_waits_until_the_device_is_as_cool_as_before_and_keeps_the_curve() -> None:
    line = through_gate(Board(45.0))
    assert (line["open"], line["waited_s"], line["limit_c"]) == (True, 2.0, 43.0)
    assert line["curve"] == [[0.0, 45.0, None], [1.0, 44.0, None], [2.0, 43.0, None]]


def test_the_gate_gives_up_and_says_where_it_was() -> None:
    line = through_gate(Board(60.0))
    assert (line["open"], line["waited_s"], line["curve"][-1]) == (False, 5.0, [5.0, 55.0, None])


def test_the_gate_waits_for_the_clock_as_well() -> None:
    cool, fast = 40.0, 1_800_000_000
    line = through_gate(Board(cool, limits_hz=(fast // 2, fast // 2, fast)), limit_hz=fast)
    assert (line["open"], line["waited_s"], line["curve"][-1][2]) == (True, 2.0, fast)
    assert through_gate(Board(cool, limits_hz=(fast // 2,)), limit_hz=fast)["open"] is False
    assert through_gate(Board(cool, limits_hz=(round(0.995 * fast),)), limit_hz=fast)["waited_s"] == 0


def test_the_gate_waits_while_anything_is_throttled_but_not_for_what_was() -> None:
    assert through_gate(Board(40.0, bits=0x4))["waited_s"] == 2.0
    assert through_gate(Board(40.0, bits=0x40000))["waited_s"] == 0


def test_a_sensor_that_stops_answering_does_not_end_the_job() -> None:
    """thermal_zone*/temp may answer EAGAIN or EINVAL at any moment."""
    line = through_gate(Board(None))
    assert line["open"] and line["curve"] == [[0.0, None, None]]
    assert through_gate(Board(50.0), None)["open"]


# ------------------------------------------------------------------ looked at once a second


class Sick:
    """Its bits and clock are those of a list, one look after the other."""

    def __init__(self, bits: list[int | None], clocks_hz: list[int | None]) -> None:
        self._bits, self._clocks_hz = iter(bits), iter(clocks_hz)

    def throttled(self) -> int | None:
        return next(self._bits)

    def clock_hz(self) -> int | None:
        return next(self._clocks_hz)

    def temperature_c(self) -> float:
        return 50.0


def test_a_round_has_the_bits_of_every_look_and_the_lowest_clock_of_its_own() -> None:
    watched = watch.Watch(Sick([0, 4, 0, 1, 0], [600, 1800, 1500, 600, 900]))
    watched._look()  # before the round, with a clock that idles
    watched.begin()
    watched._look()
    watched._look()
    assert watched.take() == {"throttled": 4, "clock_hz": 1500, "temperature_c": 50.0}
    watched._look()
    watched.begin()
    assert watched.take() == {"throttled": 1, "clock_hz": None, "temperature_c": 50.0}
    assert watched.take()["throttled"] is None


def test_a_device_that_tells_nothing_is_watched_for_nothing() -> None:
    watched = watch.Watch(Sick([None], [None]))
    watched.begin()
    watched._look()
    assert watched.take() == {"throttled": None, "clock_hz": None, "temperature_c": 50.0}


def test_the_watch_looks_by_itself_and_ends_with_its_rounds() -> None:
    looks = threading.Event()
    device = SimpleNamespace(throttled=lambda: looks.set(), clock_hz=lambda: None, temperature_c=lambda: None)
    with watch.Watch(device, period_s=0.001) as watched:
        assert looks.wait(10)
    assert not watched._thread.is_alive()


# ------------------------------------------------------------------ processor time

TICKS = os.sysconf("SC_CLK_TCK")


def stat(*seconds: float) -> dict[str, str]:
    """/proc/stat with: user nice system idle iowait irq softirq steal guest guest_nice, in s."""
    ticks = " ".join(str(round(second * TICKS)) for second in seconds)
    return {"proc/stat": f"cpu  {ticks}\ncpu0 {ticks}\nintr 12345\n"}


def test_busy_is_everything_but_waiting_and_guests_are_not_counted_twice(root: Path) -> None:
    plant(root, stat(10, 1, 5, 1000, 50, 0.5, 0.25, 3, 7, 0))
    assert facts.machine_cpu_s() == {"busy_s": 16.75, "steal_s": 3}


@pytest.mark.parametrize("content", [None, "", "intr 1\n", "cpu 1 2 3\n"])
def test_a_machine_without_proc_stat_says_nothing_of_its_load(content: str | None, root: Path) -> None:
    if content is not None:
        plant(root, {"proc/stat": content})
    assert facts.machine_cpu_s() == {}
    notebook = Notebook()
    load.journal_load(load.processor_seconds([]), [Subject(1)], notebook)
    assert notebook.lines == []


def test_a_process_is_charged_for_what_it_used_and_a_gone_one_for_nothing() -> None:
    own = os.times()
    assert facts.process_cpu_s(os.getpid()) == pytest.approx(own.user + own.system, abs=0.5)
    assert facts.process_cpu_s(2**22 + 1) == 0


class Subject:
    """An artifact whose worker is the process of that number."""

    def __init__(self, pid: int) -> None:
        self.worker = type("Worker", (), {"pid": pid})


def load_of(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Subject],
    after: list[Subject],
    used_s: dict[int, list[float]],
) -> dict[str, Any]:
    """The load line of a job during which the machine was busy for 10 s and each worker used its seconds."""
    readings = {pid: iter(seconds) for pid, seconds in used_s.items()}
    monkeypatch.setattr(facts, "process_cpu_s", lambda pid: next(readings[pid], 0.0) if pid in readings else 0.0)
    plant(root, stat(100, 0, 0, 0, 0, 0, 0, 0))
    first = load.processor_seconds(before)
    plant(root, stat(110, 0, 0, 0, 0, 0, 0, 1))
    notebook = Notebook()
    load.journal_load(first, after, notebook)
    return notebook.lines[0]


def test_the_load_of_a_job_is_what_changed_while_it_measured(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Subject(101), Subject(102)
    line = load_of(root, monkeypatch, [one, two], [one, two], {101: [2, 7], 102: [1, 5]})
    assert (line["own_s"], line["busy_s"], line["steal_s"]) == pytest.approx((9, 10, 1))
    assert line["wall_s"] >= 0


def test_a_worker_that_broke_meanwhile_does_not_count_as_another_program(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had used 6 s in its warm-up; afterwards it is one of the children that have ended."""
    one, two = Subject(101), Subject(102)
    ended = iter([SimpleNamespace(ru_utime=0.0, ru_stime=0.0), SimpleNamespace(ru_utime=5.5, ru_stime=0.5)])
    monkeypatch.setattr(load.resource, "getrusage", lambda who: next(ended))
    line = load_of(root, monkeypatch, [one, two], [one], {101: [2, 11], 102: [6]})
    assert line["own_s"] == pytest.approx(9)


# ------------------------------------------------------------------ throttle bits


def install_vcgencmd(tmp_path: Path, body: str) -> None:
    firmware._has_program.cache_clear()
    program = tmp_path / "bin/vcgencmd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_throttle_bits_are_what_the_firmware_says(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, '[ "$1" = get_throttled ] && echo throttled=0x50005')
    assert facts.throttled() == 0x50005
    assert all_facts().throttled == 0x50005


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("0x1", "under-voltage"),
        ("0xf000f", "under-voltage, clock capped, throttled, soft temperature limit"),
        ("0xf0000", "under-voltage, clock capped, throttled, soft temperature limit"),  # between two looks
        ("0x40000", "throttled"),
    ],
)
def test_bits_of_now_and_bits_that_came_up_meanwhile_have_names(said: str, names: str, tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, f"echo throttled={said}")
    known = all_facts()
    assert known.throttled == int(said, 16)
    judged = verdict.judge(make_record(facts_after=known))
    assert judged.level == "invalid"
    assert f"the board reported: {names}" in [reason.seen for reason in judged.reasons]


def test_bits_of_an_earlier_throttling_are_none_of_now(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, "echo throttled=0xf0000")
    known = all_facts()
    judged = verdict.judge(make_record(facts=known, facts_after=known))
    assert not any("the board reported" in reason.seen for reason in judged.reasons)


def test_no_throttle_bits_are_zero_and_not_unknown(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, "echo throttled=0x0")
    assert facts.throttled() == 0
    assert facts.momentary_facts()["throttled"] == 0


@pytest.mark.parametrize(
    "body",
    ["echo VCHI initialization failed; exit 255", 'echo error=1 error_msg="Command not registered"', "echo", "exit 1"],
)
def test_a_firmware_that_does_not_answer_is_unknown(body: str, tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, body)
    assert facts.throttled() is None


def test_a_firmware_that_hangs_is_unknown_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads from a pipe that nobody writes to."""
    monkeypatch.setattr(firmware, "PROGRAM_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "never")
    install_vcgencmd(tmp_path, f"read answer < {tmp_path / 'never'}; echo throttled=0x4")
    assert facts.throttled() is None


def mailbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: list[int]) -> list[tuple[int, ...]]:
    """A firmware that answers a property message with these numbers; what it was asked."""
    asked = []

    def ioctl(handle: int, request: int, message: bytearray, mutate: bool) -> int:
        assert request == {8: 0xC0086400, 4: 0xC0046400}[struct.calcsize("P")] and mutate
        asked.append(struct.unpack("=7I", message))
        message[:] = struct.pack("=7I", *answer)
        return 0

    (tmp_path / "vcio").touch()
    monkeypatch.setattr(firmware, "MAILBOX", str(tmp_path / "vcio"))
    monkeypatch.setattr(firmware.fcntl, "ioctl", ioctl)
    return asked


def test_the_firmware_is_asked_through_its_mailbox_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = mailbox(monkeypatch, tmp_path, [28, 0x80000000, 0x30046, 4, 0x80000004, 0x50005, 0])
    assert facts.throttled() == 0x50005
    assert asked == [(28, 0, 0x30046, 4, 0, 0, 0)]


@pytest.mark.parametrize(
    "answer", [[28, 0x80000001, 0x30046, 4, 0x80000004, 5, 0], [28, 0x80000000, 0x30046, 4, 0, 5, 0]]
)
def test_a_mailbox_that_does_not_answer_is_not_believed(
    answer: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mailbox(monkeypatch, tmp_path, answer)
    assert facts.throttled() is None
    install_vcgencmd(tmp_path, "echo throttled=0x4")
    assert facts.throttled() == 4


def test_the_kernels_own_alarm_is_a_low_supply(root: Path, tmp_path: Path) -> None:
    plant(root, {"sys/class/hwmon/hwmon3/name": "rpi_volt\n", "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "1\n"})
    assert facts.throttled() == 1
    install_vcgencmd(tmp_path, "echo throttled=0x50000")
    assert facts.throttled() == 0x50001
    plant(root, {"sys/class/hwmon/hwmon3/in0_lcrit_alarm": "0\n"})
    assert facts.throttled() == 0x50000


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


def test_how_long_the_clock_had_which_value(root: Path) -> None:
    assert facts.clocks_s() == {}
    plant(root, {**PI_4, "sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state": "600000 1000\n1800000 50\n"})
    facts._policies.cache_clear()
    before = facts.clocks_s()
    assert before == {"policy0": {600_000_000: 10.0, 1_800_000_000: 0.5}}
    plant(root, {"sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state": "600000 1000\n1800000 250\n"})
    assert load._clocks_spent(before, facts.clocks_s()) == {"policy0": {"1800000000": 2.0}}


def test_a_machine_without_vcgencmd_has_no_throttle_bits() -> None:
    assert facts.throttled() is None and "throttled" not in facts.momentary_facts()


# ------------------------------------------------------------------ RAPL

ZONES = "sys/class/powercap"
RANGE_UJ = 262_143_328_850


def zone(path: str, name: str, energy_uj: int = 0, range_uj: int = RANGE_UJ) -> dict[str, str]:
    folder = f"{ZONES}/{path}"
    return {
        f"{folder}/name": f"{name}\n",
        f"{folder}/energy_uj": f"{energy_uj}\n",
        f"{folder}/max_energy_range_uj": f"{range_uj}\n",
    }


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
    """What the meter says when the counters of these zones have moved to these values, in µJ."""
    plant(root, before)
    meter = rapl.open_meter()
    first = meter.read()
    plant(root, {f"{ZONES}/{path}/energy_uj": str(value) for path, value in after.items()})
    return meter.joules(first, meter.read())


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


def test_a_counter_that_stood_still_is_zero_joules(root: Path) -> None:
    assert joules(root, LAPTOP, {}) == {"cpu_package": 0}


def test_the_memory_mapped_twin_of_a_package_is_not_counted_twice(root: Path) -> None:
    """Newer Intel kernels list package-0 once more under intel-rapl-mmio."""
    twice = {**LAPTOP, **zone("intel-rapl-mmio:0", "package-0", 1_000_000)}
    assert joules(root, twice, {"intel-rapl:0": 2_000_000, "intel-rapl-mmio:0": 2_000_000}) == {"cpu_package": 1.0}


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
    """Root reads everything: the refusal is made up."""
    plant(root, LAPTOP)
    real = Path.read_text

    def refuse(path: Path, *arguments: Any, **keywords: Any) -> str:
        if path.name == "energy_uj":
            raise error
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(meters.Unavailable, match=said):
        rapl.open_meter()


# ------------------------------------------------------------------ RAPL through perf events

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
