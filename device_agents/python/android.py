"""What an Android phone says about itself to its shell, without root: model, battery, temperatures, rails' energy.

Its own agent asks on the phone, a computer through adb. Sources: dumpsys battery, dumpsys thermalservice, dumpsys of
IPowerStats (Android's power statistics HAL).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

TIMEOUT_S = 10
RAILS = "dumpsys android.hardware.power.stats.IPowerStats/default"
_THERMAL = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+), mName=([^,]*), mStatus=(\d)\}")
_RAIL = re.compile(r"^\s*\[?([\w.]+)\]?:(\S+)\s+([\d.]+) mWs", re.MULTILINE)
_PROCESSOR, _SKIN = "0", "3"
STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def own_shell() -> AndroidShell | None:
    """That of the phone that this runs on; None where it is not a phone."""
    return AndroidShell(["/system/bin/sh", "-c"]) if Path("/system/bin/dumpsys").exists() else None


class AndroidShell:
    """A phone's shell. command: what takes a line for it; from a computer ["adb", "-s", ..., "shell"]."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def ask(self, line: str) -> str:
        """What the shell prints. Raises OSError with the reason."""
        command = [*self._command, line]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise OSError("the phone did not answer within %d s" % TIMEOUT_S) from None
        if done.returncode:
            printed = (done.stderr + done.stdout).strip().splitlines()
            raise OSError(printed[0][:200] if printed else "exit code %d" % done.returncode)
        return done.stdout

    def static_facts(self) -> dict[str, Any]:
        """Those facts of edgebench/schema/facts.py that a phone's properties state."""
        known = dict(re.findall(r"^\[(.+?)\]: \[(.*)\]$", self.ask("getprop"), re.MULTILINE))
        maker, model = known.get("ro.product.manufacturer", ""), known.get("ro.product.model", "")
        soc = " ".join(filter(None, (known.get("ro.soc.manufacturer"), known.get("ro.soc.model"))))
        release = known.get("ro.build.version.release")
        facts = {
            "model": model if model.lower().startswith(maker.lower()) else "%s %s" % (maker, model),
            "cpu": soc or known.get("ro.hardware"),
            "os": "Android %s" % release if release else None,
        }
        return {name: value for name, value in facts.items() if value}

    def momentary_facts(self) -> dict[str, Any]:
        battery, thermal = self._parsed("dumpsys battery", parse_battery), self.thermal_now()
        facts = {
            "battery_fraction": battery.get("fraction"),
            "charging": battery.get("charging"),
            "temperature_c": thermal.get("temperature_c"),
            "throttled": thermal.get("throttled"),
        }
        return {name: value for name, value in facts.items() if value is not None}

    def temperature_c(self) -> float | None:
        celsius: float | None = self.thermal_now().get("temperature_c")
        return celsius

    def throttled(self) -> int | None:
        bits: int | None = self.thermal_now().get("throttled")
        return bits

    def thermal_now(self) -> dict[str, Any]:
        return self._parsed("dumpsys thermalservice", parse_thermal)

    def _parsed(self, line: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """{} without an answer: a fact that cannot be read is left out."""
        try:
            return parse(self.ask(line))
        except OSError:
            return {}


def parse_battery(text: str) -> dict[str, Any]:
    """{"fraction", "charging", "temperature_c", "volts"} of `dumpsys battery`, as far as it states them."""
    stated = dict(re.findall(r"^\s*([\w ]+): (\S+)\s*$", text, re.MULTILINE))
    found: dict[str, Any] = {}
    if stated.get("level", "").isdigit() and stated.get("scale", "").isdigit():
        found["fraction"] = int(stated["level"]) / int(stated["scale"])
    sources = [value for name, value in stated.items() if name.endswith(" powered")]
    if sources:
        found["charging"] = "true" in sources
    if stated.get("temperature", "").lstrip("-").isdigit():
        found["temperature_c"] = int(stated["temperature"]) / 10
    if stated.get("voltage", "").isdigit():
        found["volts"] = int(stated["voltage"]) / 1000
    return found


def parse_thermal(text: str) -> dict[str, Any]:
    """{"status": 0..6, "temperature_c", "throttled"} of `dumpsys thermalservice`.

    The block "from HAL" holds current readings; the cached one before it may be old. The processor's sensors if there
    are any, else the skin's; -99.9 and NaN mean that a sensor has no reading. throttled: bits as on a Raspberry Pi, so
    that one rule judges both: bit 2 from severe on, bit 3 from light on.
    """
    found: dict[str, Any] = {}
    status = re.search(r"Thermal Status: (\d)", text)
    if status:
        level = found["status"] = int(status[1])
        found["throttled"] = (4 if level >= 3 else 0) | (8 if level >= 1 else 0)
    current = text.partition("Current temperatures from HAL:")[2] or text
    current = current.partition("Current cooling devices")[0]
    by_kind: dict[str, list[float]] = {}
    for value, kind, _, _ in _THERMAL.findall(current):
        if -50 < float(value) < 200:
            by_kind.setdefault(kind, []).append(float(value))
    readings = by_kind.get(_PROCESSOR) or by_kind.get(_SKIN)
    if readings:
        found["temperature_c"] = max(readings)
    return found


def parse_rails(text: str) -> dict[str, float]:
    """{"rail:subsystem": J since boot} of the power statistics, without the modelled part (energy consumers)."""
    meter = text.partition("energy meter")[2].partition("energy consumer")[0]
    return {"%s:%s" % (rail, subsystem): float(mws) / 1000 for rail, subsystem, mws in _RAIL.findall(meter)}
