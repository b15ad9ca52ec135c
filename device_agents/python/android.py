"""What an Android phone says of itself to its shell, without root: model, battery, temperatures, energy of its rails.

The same questions are asked on the phone by its own agent, and from a computer through adb (`VIA`).
Sources: dumpsys battery, dumpsys thermalservice, dumpsys of IPowerStats (Android's power statistics HAL).
"""

import re
import subprocess
from pathlib import Path

# The command that a shell line is given to: on the phone its own shell, from a computer ["adb", "-s", ..., "shell"].
VIA = []
TIMEOUT_S = 10
RAILS = "dumpsys android.hardware.power.stats.IPowerStats/default"
_THERMAL = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+), mName=([^,]*), mStatus=(\d)\}")
_RAIL = re.compile(r"^\s*\[?([\w.]+)\]?:(\S+)\s+([\d.]+) mWs", re.MULTILINE)
_PROCESSOR, _SKIN = "0", "3"
STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def is_here():
    """Whether there is a phone to ask."""
    return bool(VIA) or Path("/system/bin/dumpsys").exists()


def shell(line):
    """What the phone's shell answers. Raises OSError with the reason."""
    command = [*VIA, line] if VIA else ["/system/bin/sh", "-c", line]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise OSError("the phone gave no answer for %d s" % TIMEOUT_S) from None
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise OSError(said[0][:200] if said else "exit code %d" % done.returncode)
    return done.stdout


def properties():
    """{name: value} of getprop."""
    return dict(re.findall(r"^\[(.+?)\]: \[(.*)\]$", shell("getprop"), re.MULTILINE))


def static_facts():
    """The facts of edgebench/schema/facts.py that a phone's properties tell."""
    told = properties()
    maker, model = told.get("ro.product.manufacturer", ""), told.get("ro.product.model", "")
    soc = " ".join(filter(None, (told.get("ro.soc.manufacturer"), told.get("ro.soc.model")))) or told.get("ro.hardware")
    release = told.get("ro.build.version.release")
    facts = {
        "model": model if model.lower().startswith(maker.lower()) else "%s %s" % (maker, model),
        "cpu": soc,
        "os": "Android %s" % release if release else None,
    }
    return {name: value for name, value in facts.items() if value}


def momentary_facts():
    battery, thermal = _parsed("dumpsys battery", parse_battery), thermal_now()
    facts = {
        "battery_fraction": battery.get("fraction"),
        "charging": battery.get("charging"),
        "temperature_c": thermal.get("temperature_c"),
        "throttled": thermal.get("throttled"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def parse_battery(text):
    """{"fraction", "charging", "temperature_c", "volts"} of `dumpsys battery`, as far as they are told."""
    told = dict(re.findall(r"^\s*([\w ]+): (\S+)\s*$", text, re.MULTILINE))
    found = {}
    if told.get("level", "").isdigit() and told.get("scale", "").isdigit():
        found["fraction"] = int(told["level"]) / int(told["scale"])
    sources = [value for name, value in told.items() if name.endswith(" powered")]
    if sources:
        found["charging"] = "true" in sources
    if told.get("temperature", "").lstrip("-").isdigit():
        found["temperature_c"] = int(told["temperature"]) / 10
    if told.get("voltage", "").isdigit():
        found["volts"] = int(told["voltage"]) / 1000
    return found


def thermal_now():
    return _parsed("dumpsys thermalservice", parse_thermal)


def _parsed(line, parse):
    """{} where there is no answer: a fact that cannot be read is left out."""
    try:
        return parse(shell(line))
    except OSError:
        return {}


def parse_thermal(text):
    """{"status": 0..6, "temperature_c", "throttled"} of `dumpsys thermalservice`.

    The block "from HAL" is what sensors say now; the cached one before it may be old. The processor's sensors if
    there are any, else the skin's; -99.9 and NaN are no readings. throttled: bits as a Raspberry Pi's, so that one
    rule judges both: 2 from severe on, 3 from light on.
    """
    found = {}
    status = re.search(r"Thermal Status: (\d)", text)
    if status:
        found["status"] = int(status[1])
        found["throttled"] = (4 if found["status"] >= 3 else 0) | (8 if found["status"] >= 1 else 0)
    current = text.partition("Current temperatures from HAL:")[2] or text
    current = current.partition("Current cooling devices")[0]
    by_kind = {}
    for value, kind, _, _ in _THERMAL.findall(current):
        if -50 < float(value) < 200:
            by_kind.setdefault(kind, []).append(float(value))
    readings = by_kind.get(_PROCESSOR) or by_kind.get(_SKIN)
    if readings:
        found["temperature_c"] = max(readings)
    return found


def parse_rails(text):
    """{"rail:subsystem": J since boot} of the power statistics; what the dump models (energy consumers) is left out."""
    meter = text.partition("energy meter")[2].partition("energy consumer")[0]
    return {"%s:%s" % (rail, subsystem): float(mws) / 1000 for rail, subsystem, mws in _RAIL.findall(meter)}
