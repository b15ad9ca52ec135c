"""The `adb` binary: find it, find the phone, ask it. Every error is one sentence with what to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from edgebench.errors import Unreachable, UserError
from edgebench.schema.targets import Target

TIMEOUT_S = 60
_STATES = {
    "unauthorized": ("the phone has not allowed this computer", "Unlock it and confirm its question (USB debugging)"),
    "offline": ("the phone does not answer over the cable", "Put the cable in again; else: adb kill-server"),
    "no permissions": (
        "this user may not use the USB device", "Install its udev rules (apt: android-sdk-platform-tools-common)"
    ),
    "recovery": ("the phone is in recovery mode", "Start it normally"),
    "sideload": ("the phone waits for an update", "Start it normally"),
}  # fmt: skip


def binary() -> str:
    """$ADB, the PATH, or the Android SDK. Raises UserError."""
    sdk = Path(os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT") or "/nowhere")
    for candidate in (os.environ.get("ADB"), "adb", str(sdk / "platform-tools/adb")):
        found = candidate and shutil.which(candidate)
        if found:
            return found
    raise UserError("adb", "there is no `adb` on this machine", "Install it (apt: adb), or set $ADB to its path")


def command(target: Target) -> list[str]:
    """`adb -s SERIAL` of the target's phone, which is there and lets us in. Raises Unreachable with the remedy."""
    where, program = f"target '{target.name}'", binary()
    listed = _devices(program, where)
    if target.host:
        serial = target.host
        if serial not in listed:
            known = f"; attached: {', '.join(listed)}" if listed else ""
            raise Unreachable(
                where, f"no phone {serial} is attached{known}", "Mend `host` in targets.yaml, or attach it"
            )
    elif not listed:
        raise Unreachable(
            where, "no phone is attached",
            "Put it on a cable, and switch on USB debugging in its developer options",
        )  # fmt: skip
    elif len(listed) > 1:
        raise Unreachable(
            where, f"several phones are attached: {', '.join(listed)}", "Set `host` in targets.yaml to the one's serial"
        )
    else:
        (serial,) = listed
    state = listed[serial]
    if state != "device":
        seen, remedy = _STATES.get(state, (f"the phone is '{state}'", "Start it normally, then again"))
        raise Unreachable(where, f"{seen} ({serial})", remedy)
    return [program, "-s", serial]


def _devices(program: str, where: str) -> dict[str, str]:
    """{serial: state} of every phone that adb knows."""
    answer = subprocess.run([program, "devices"], capture_output=True, text=True, timeout=TIMEOUT_S)
    if answer.returncode:
        said = (answer.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(where, f"adb does not work: {said}", "adb kill-server, then again")
    lines = re.findall(r"^(\S+)\t(no permissions|\S+)", answer.stdout, re.MULTILINE)
    return dict(lines)


def ask(adb: list[str], *arguments: str, where: str, given: str = "") -> str:
    """Output of one adb command that gets `given` on its stdin. Raises Unreachable with what adb said."""
    answer = subprocess.run([*adb, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, input=given)
    if answer.returncode:
        raise failed(answer.stderr or answer.stdout, where)
    return answer.stdout.strip()


def failed(said: str, where: str) -> Unreachable:
    """What was seen when adb failed, from what it printed."""
    for state, (seen, remedy) in _STATES.items():
        if state in said:
            return Unreachable(where, seen, remedy)
    if "not found" in said or "no devices" in said or "closed" in said:
        return Unreachable(where, "the phone is no longer attached", "Put the cable in again and deploy again")
    last = (said.strip().splitlines() or ["adb gave no reason"])[-1]
    return Unreachable(where, last, "Try it by hand: adb devices")
