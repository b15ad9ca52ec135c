"""A phone as the job that measures it through the browser sees it: the little that browsers report."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_agents.python.android import AndroidShell
from device_agents.python.watch import DeviceWatch
from edgebench.device.phone.page import Page
from edgebench.device.phone.worker import PageWorker

_BROWSERS = (("Edge", "Edg"), ("Samsung Internet", "SamsungBrowser"), ("Opera", "OPR"), ("Firefox", "Firefox"),
             ("Chrome", "CriOS"), ("Firefox", "FxiOS"), ("Chrome", "Chrome"),
             ("Chrome", "HeadlessChrome"), ("Safari", "Version"))  # fmt: skip
_NO_METER = "browsers do not report energy; the native agent over a cable (transport: adb) reads the phone's own meters"


def open_phone(page: Page, versions: Mapping[str, str], folders: Mapping[str, str], via: list[str]) -> Phone:
    """via: the command that runs the phone's shell; [] if only the browser can be reached."""
    if not via:
        return Phone(page, versions, folders)
    return PhoneOnCable(page, versions, folders, AndroidShell(via))


class Phone:
    """Has the interface of device_agents/python/device.py: Machine."""

    phone: AndroidShell | None = None

    def __init__(self, page: Page, versions: Mapping[str, str], folders: Mapping[str, str]) -> None:
        self._page = page
        self._versions = versions
        self._folders = folders

    def start_worker(self, stderr_path: Path | None = None, environment: dict[str, str] | None = None) -> PageWorker:
        return PageWorker(self._page, self._versions, self._folders)

    def now_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def static_facts(self) -> dict[str, Any]:
        reported = self._page.facts
        agent = reported.get("user_agent", "")
        facts = {
            "model": reported.get("model"),
            "os": _system(reported, agent),
            "browser": describe_browser(agent),
            "cores": reported.get("cores"),
            "clock_step_ns": self.clock_step_ns(),
            "secure_context": reported.get("secure_context"),
            "isolated": reported.get("isolated"),
            "meters": None if self.phone else {"browser": {"available": False, "note": _NO_METER}},
        }
        return {name: value for name, value in facts.items() if value not in (None, "")}

    def momentary_facts(self) -> dict[str, Any]:
        reported = self._page.facts
        return {name: reported[name] for name in ("battery_fraction", "charging") if name in reported}

    def clock_step_ns(self) -> int:
        return int(self._page.facts.get("clock_step_ns", 1_000_000))

    def temperature_c(self) -> float | None:
        return None

    def throttled(self) -> int | None:
        return None

    def clock_hz(self) -> int | None:
        return None

    def clock_limit_hz(self) -> int | None:
        return None

    def clocks_s(self) -> dict[str, dict[int, float]]:
        return {}

    def watch(self) -> DeviceWatch:
        return DeviceWatch(self)

    def machine_cpu_s(self) -> dict[str, float]:
        return {}

    def has_meter(self, name: str) -> bool:
        return False


class PhoneOnCable(Phone):
    """A browser on a phone whose shell answers too: model and temperature are known, and it may have meters."""

    def __init__(
        self, page: Page, versions: Mapping[str, str], folders: Mapping[str, str], phone: AndroidShell
    ) -> None:
        super().__init__(page, versions, folders)
        self.phone: AndroidShell = phone

    def static_facts(self) -> dict[str, Any]:
        return {**super().static_facts(), **self.phone.static_facts()}

    def momentary_facts(self) -> dict[str, Any]:
        return {**super().momentary_facts(), **self.phone.momentary_facts()}

    def temperature_c(self) -> float | None:
        return self.phone.temperature_c()

    def throttled(self) -> int | None:
        return self.phone.throttled()

    def has_meter(self, name: str) -> bool:
        return name.startswith("android")


def describe_browser(user_agent: str) -> str:
    """`Chrome 156`, from the user agent."""
    for name, sign in _BROWSERS:
        found = re.search(rf"\b{sign}/(\d+)(\.\d+)?", user_agent)
        if found:
            minor = (found[2] or "") if name == "Safari" else ""
            return f"{name} {found[1]}{minor}"
    return "an unknown browser"


def _system(reported: Mapping[str, Any], user_agent: str) -> str:
    if reported.get("platform"):
        return f"{reported['platform']} {reported.get('platform_version', '')}".strip()
    android = re.search(r"Android [\d.]+", user_agent)
    apple = re.search(r"(?:iPhone )?OS (\d+)_(\d+)", user_agent)
    if android:
        return android[0]
    return f"iOS {apple[1]}.{apple[2]}" if apple else ("Linux" if "Linux" in user_agent else "")
