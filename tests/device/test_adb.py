"""The adb transport: the real adb client against a small fake adbd (tests/support/fake_adbd.py), on every run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from device_agents.python import android
from device_agents.python.android import AndroidShell
from device_agents.python.meters import Unavailable, android_battery, android_rails
from edgebench import deploy
from edgebench.device import arrival, connection, target_check, wire
from edgebench.device.phone import bundle
from edgebench.device.transports import _adb, adb, open_transport
from edgebench.errors import Unreachable, UserError
from edgebench.progress import Silent
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target
from tests.device.test_phone import BUNDLE
from tests.support.browser import Person, needs_chromium, url_in
from tests.support.cable import BATTERY, RAILS, THERMAL, Cables, needs_adb

pytestmark = pytest.mark.adb

PIXEL = Target(name="pixel", transport="adb", agent="browser", runtimes=("onnxruntime-web", "litert-web"))
NATIVE = Target(name="pixel", transport="adb", python=sys.executable)


# ------------------------------------------------------------------ reaching it


def test_without_adb_it_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ADB", raising=False)
    with pytest.raises(UserError, match=r"`adb` is not installed on this machine. Install it \(apt: adb\)"):
        _adb.command(PIXEL)


@needs_adb
def test_what_stands_between_here_and_the_phone_is_one_sentence(plug_in: Callable[..., str]) -> None:
    with pytest.raises(Unreachable, match="no phone is attached. Attach it by USB"):
        _adb.command(PIXEL)
    first = plug_in()
    assert _adb.command(PIXEL)[1:] == ["-s", first]
    second = plug_in()
    with pytest.raises(Unreachable, match=r"several phones are attached: .*\. Set `host`") as told:
        _adb.command(PIXEL)
    assert first in told.value.seen and second in told.value.seen
    chosen = Target(name="pixel", transport="adb", host=second)
    assert _adb.command(chosen)[1:] == ["-s", second]
    with pytest.raises(Unreachable, match="phone nothing is not attached; attached: "):
        _adb.command(Target(name="pixel", transport="adb", host="nothing"))


@needs_adb
def test_a_phone_that_refuses_the_key(plug_in: Callable[..., str]) -> None:
    plug_in("--deny")
    with pytest.raises(Unreachable, match=r"has not authorised this computer .*Unlock it and confirm"):
        _adb.command(PIXEL)


# ------------------------------------------------------------------ the native agent


@needs_adb
def test_the_agent_goes_over_the_cable_and_measures(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, phone: Path, plug_in: Callable[..., str]
) -> None:
    plug_in()
    records = deploy.deploy(NATIVE, deploy.artifacts_at([relu_bundle]), tiny_plan, tmp_path / "results")
    for one in records:
        assert one.target.transport == "adb" and one.rounds and one.golden and one.golden.passed
        assert not one.in_browser
    assert len(list(phone.glob("data/local/tmp/edgebench/agent/agent-*.pyz"))) == 1


@needs_adb
def test_a_cable_that_is_pulled_while_files_go_over_it(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, plug_in: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RECONNECT_S", 0.5)
    plug_in("--drop-after", "20000")  # in the middle of the agent's zipapp
    with pytest.raises(UserError) as caught:
        deploy.deploy(NATIVE, deploy.artifacts_at([relu_bundle]), tiny_plan, tmp_path / "results")
    assert "Traceback" not in str(caught.value) and caught.value.remedy


class Onlooker(Silent):
    """Does something once when the journal gets that far, and something else at a given message."""

    def __init__(
        self, at: str, then: Callable[[], None], heal: tuple[str, Callable[[], None]] = ("\0", lambda: None)
    ) -> None:
        self._at, self._then = at, then
        self._words, self._heal = heal
        self.said: list[str] = []

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Onlooker]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        if note.partition(",")[0] == self._at:
            self._at = ""
            self._then()

    def say(self, line: str) -> None:
        self.said.append(line)
        if self._words in line:
            self._heal()


@needs_adb
def test_a_cable_that_is_pulled_in_the_middle_of_a_job_costs_nothing(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, plug_in: Cables
) -> None:
    """The job continues on the phone, and its results are fetched when the cable is back."""
    serial = plug_in()
    onlooker = Onlooker("round 3", lambda: plug_in.pull(serial))
    plan = msgspec.structs.replace(tiny_plan, rounds_min=40, seconds_max=60.0, precision=10.0)
    records = deploy.deploy(NATIVE, deploy.artifacts_at([relu_bundle]), plan, tmp_path / "results", progress=onlooker)
    assert any("The job was running there; reconnecting" in line for line in onlooker.said), onlooker.said
    for one in records:
        assert one.outcome.status == "complete" and one.golden and one.golden.passed
        assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds))) and len(one.rounds) >= 40


@needs_adb
def test_a_cable_that_falls_silent_in_the_middle_of_a_job_costs_nothing(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, plug_in: Cables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """adb still lists the phone, and does not report the silence."""
    for where, name, seconds in (
        (wire, "SILENCE_SAID_S", 1.0), (wire, "JOURNAL_SILENCE_MAX_S", 8.0), (arrival, "HELLO_MAX_S", 4.0),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, seconds)
    _, proxy = plug_in.through_a_proxy()
    onlooker = Onlooker("round 3", proxy.stall, heal=("reconnecting", proxy.heal))
    plan = msgspec.structs.replace(tiny_plan, rounds_min=40, seconds_max=60.0, precision=10.0)
    records = deploy.deploy(NATIVE, deploy.artifacts_at([relu_bundle]), plan, tmp_path / "results", progress=onlooker)
    assert any("silent for" in line for line in onlooker.said), onlooker.said
    for one in records:
        assert one.outcome.status == "complete" and one.golden and one.golden.passed
        assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds))) and len(one.rounds) >= 40


# ------------------------------------------------------------------ its browser


@needs_adb
@needs_chromium
@pytest.mark.usefixtures("page_assets")
def test_the_browser_through_the_cable(
    tiny_plan: Plan, tmp_path: Path, phone: Path, plug_in: Callable[..., str]
) -> None:
    """reverse, am start, the page on localhost: threads, a fine clock, and the facts from the phone's shell."""
    plug_in()
    person = Person()
    sources = [one for one in deploy.artifacts_at([BUNDLE]) if one.artifact.precision == "int8"]
    plan = msgspec.structs.replace(tiny_plan, energy_windows=1, energy_windows_max=1, energy_window_s=0.2)
    try:
        records = deploy.deploy(PIXEL, sources, plan, tmp_path / "results", progress=person)
        told = target_check.check(PIXEL, progress=person).lines()
    finally:
        person.leave()
    for one in records:
        assert one.golden and one.golden.passed and one.golden.max_abs_diff == 0 and one.rounds and one.in_browser
        facts = one.facts_before
        assert (facts.model, facts.cpu, facts.os) == ("Google Pixel 8", "Google Tensor G3", "Android 16")
        assert facts.isolated and facts.battery_fraction == 0.87 and facts.charging
        assert one.gate_open and {r.temperature_c for r in one.rounds} == {44.5} and facts.throttled == 0
        assert facts.meters["android_rails"].available and "a cable charges" not in facts.meters["android_rails"].note
        energy = {reading.meter: reading for reading in one.energy}
        assert energy["android_rails"].provenance == "measured" and len(energy["android_rails"].windows) == 1
        assert energy["android_battery"].provenance == "unavailable" and energy["android_battery"].reason
    opened = (phone / "opened").read_text().splitlines()
    url = url_in(person.said[0])
    assert opened == ["start", "-a", "android.intent.action.VIEW", "-d", url]
    text = "\n".join(told)
    for words in ("Google Pixel 8", "Tensor G3", "Android 16", "87%, charging", "44.5 °C", "android_rails readable"):
        assert words in text, text


# ------------------------------------------------------------------ what the phone says


def test_the_battery_is_read() -> None:
    assert android.parse_battery(BATTERY) == {"fraction": 0.87, "charging": True, "temperature_c": 27.1, "volts": 4.312}
    assert android.parse_battery("Can't find service: battery") == {}


@pytest.mark.parametrize(("status", "bits"), [(0, 0), (1, 8), (2, 8), (3, 12), (6, 12)])
def test_the_present_temperatures_count_and_the_status_is_bits(status: int, bits: int) -> None:
    found = android.parse_thermal(THERMAL.format(status=status))
    assert found == {"status": status, "throttled": bits, "temperature_c": 44.5}
    assert android.parse_thermal("") == {}


def test_rails_are_joules_and_what_is_modelled_is_left_out() -> None:
    rails = android.parse_rails(RAILS.format(display=1500, big=2000))
    assert rails == {"VSYS_PWR_DISPLAY:Display": 1.5, "S2M_VDD_CPUCL2:CPU(BIG)": 2.0}


def test_the_rails_of_a_window_are_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [RAILS.format(display=1000, big=big) for big in (2000, 2000, 9000)]
    phone = AndroidShell(["true"])
    monkeypatch.setattr(phone, "ask", lambda line: answers.pop(0))
    meter = android_rails.open_meter(phone)
    joules = meter.joules(meter.read(), meter.read())
    assert joules == {"rail:VSYS_PWR_DISPLAY:Display": 0.0, "rail:S2M_VDD_CPUCL2:CPU(BIG)": 7.0}
    monkeypatch.setattr(phone, "ask", lambda line: "Can't find service")
    with pytest.raises(Unavailable, match="no power monitor"):
        android_rails.open_meter(phone)


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("Discharging\n-512000\n4000000\n", 2.048),  # microamperes, the kernel's sign
        ("Discharging\n512000\n4000000\n", 2.048),  # the other sign
        ("Discharging\n-512\n4000000\n", 2.048),  # milliamperes
    ],
)
def test_units_and_signs_of_the_battery_are_told_apart(text: str, watts: float) -> None:
    assert android_battery.parse(text) == pytest.approx(watts)


def test_a_charging_battery_is_no_meter_and_neither_is_a_silent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    phone = AndroidShell(["true"])
    for answer, reason in (("Charging\n900000\n4000000\n", "a cable charges"), ("Discharging\nx\n", "does not report")):
        monkeypatch.setattr(phone, "ask", lambda line, answer=answer: answer)
        with pytest.raises(Unavailable, match=reason):
            android_battery.open_meter(phone)


def test_a_transport_for_each_agent() -> None:
    assert isinstance(open_transport(NATIVE), adb.AdbShell) and isinstance(open_transport(PIXEL), adb.AdbBrowser)


# ------------------------------------------------------------------ the bundle for Android's shell

needs_qemu_user = pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None or shutil.which("mmdebstrap") is None,
    reason="no qemu-aarch64 or mmdebstrap on this machine (apt: qemu-user mmdebstrap)",
)
# What an ARM processor says; the runtimes read it, and the one of this machine makes them crash under qemu.
CPUINFO = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd08\n"


def test_without_the_bundle_it_says_how_to_make_it() -> None:
    with pytest.raises(UserError, match="edgebench targets bundle; or use the browser"):
        bundle.find()


@needs_adb
@needs_qemu_user
@pytest.mark.board
@pytest.mark.slow
def test_the_bundle_runs_the_agent_and_answers_as_this_machine_does(
    tiny_plan: Plan, tmp_path: Path, plug_in: Callable[..., str]
) -> None:
    """ARM64 code under qemu-user, pushed and unpacked through adb; INT8 to the bit."""
    (tmp_path / "sysroot/proc").mkdir(parents=True)
    (tmp_path / "sysroot/proc/cpuinfo").write_text(CPUINFO)
    bundle.build(Silent(), shell="/bin/sh", runner=f"qemu-aarch64 -cpu cortex-a72 -L {tmp_path / 'sysroot'} ")
    serial = plug_in()
    target = Target(name="pixel", transport="adb", host=serial, emulated=True, runtimes=("onnxruntime", "litert"))
    sources = [one for one in deploy.artifacts_at([BUNDLE]) if one.artifact.precision == "int8"]
    records = deploy.deploy(target, sources, tiny_plan, tmp_path / "results")
    assert [one.runtime.name for one in records] == ["onnxruntime", "litert"]
    for one in records:
        assert one.golden is not None and one.golden.passed and one.golden.max_abs_diff == 0
        assert (one.facts_before.machine, one.facts_before.libc) == ("aarch64", "glibc 2.36")
        assert one.rounds and not one.in_browser
