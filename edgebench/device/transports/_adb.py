"""The `adb` binary: finding it, finding the phone, running commands. Every error says what to do."""

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
    "unauthorized": ("the phone has not authorised this computer", "Unlock it and confirm the prompt (USB debugging)"),
    "offline": ("the phone does not answer over the cable", "Reconnect the cable; if that fails: adb kill-server"),
    "no permissions": (
        "this user may not access the USB device", "Install its udev rules (apt: android-sdk-platform-tools-common)"
    ),
    "recovery": ("the phone is in recovery mode", "Start it normally"),
    "sideload": ("the phone is waiting for an update", "Start it normally"),
}  # fmt: skip


def binary() -> str:
    """$ADB, the PATH, or the Android SDK. Raises UserError."""
    sdk = Path(os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT") or "/nowhere")
    for candidate in (os.environ.get("ADB"), "adb", str(sdk / "platform-tools/adb")):
        found = candidate and shutil.which(candidate)
        if found:
            return found
    raise UserError("adb", "`adb` is not installed on this machine", "Install it (apt: adb), or set $ADB to its path")


def command(target: Target) -> list[str]:
    """`adb -s SERIAL` for the target's phone, which must be attached and authorised. Raises Unreachable."""
    where, program = f"target '{target.name}'", binary()
    listed = _devices(program, where)
    if target.host:
        serial = target.host
        if serial not in listed:
            known = f"; attached: {', '.join(listed)}" if listed else ""
            raise Unreachable(
                where, f"phone {serial} is not attached{known}", "Correct `host` in targets.yaml, or attach it"
            )
    elif not listed:
        raise Unreachable(
            where, "no phone is attached",
            "Attach it by USB, and enable USB debugging in its developer options",
        )  # fmt: skip
    elif len(listed) > 1:
        raise Unreachable(
            where,
            f"several phones are attached: {', '.join(listed)}",
            "Set `host` in targets.yaml to a serial number",
        )
    else:
        (serial,) = listed
    state = listed[serial]
    if state != "device":
        seen, remedy = _STATES.get(state, (f"the phone is '{state}'", "Start it normally, then try again"))
        raise Unreachable(where, f"{seen} ({serial})", remedy)
    return [program, "-s", serial]


def _devices(program: str, where: str) -> dict[str, str]:
    """{serial: state} of every phone that adb knows."""
    answer = subprocess.run([program, "devices"], capture_output=True, text=True, timeout=TIMEOUT_S)
    if answer.returncode:
        said = (answer.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(where, f"adb does not work: {said}", "Run `adb kill-server`, then try again")
    lines = re.findall(r"^(\S+)\t(no permissions|\S+)", answer.stdout, re.MULTILINE)
    return dict(lines)


def ask(adb: list[str], *arguments: str, where: str, given: str = "") -> str:
    """The output of one adb command with `given` on its stdin. Raises Unreachable with adb's error."""
    answer = subprocess.run([*adb, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, input=given)
    if answer.returncode:
        raise failed(answer.stderr or answer.stdout, where)
    return answer.stdout.strip()


def failed(said: str, where: str) -> Unreachable:
    """The error for what adb printed when it failed."""
    for state, (seen, remedy) in _STATES.items():
        if state in said:
            return Unreachable(where, seen, remedy)
    if "not found" in said or "no devices" in said or "closed" in said:
        return Unreachable(where, "the phone is no longer attached", "Reconnect the cable and deploy again")
    last = (said.strip().splitlines() or ["adb gave no reason"])[-1]
    return Unreachable(where, last, "Try it by hand: adb devices")
