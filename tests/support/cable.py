"""A phone on a cable for tests: the real adb client, with a server and a key of its own, and fake_adbd.py."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults.proxy import Proxy

needs_adb = pytest.mark.skipif(shutil.which("adb") is None, reason="no adb on this machine (apt: adb)")

PROPERTIES = """\
[ro.build.version.release]: [16]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
"""
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Charge counter: 3312000
  status: 2
  level: 87
  scale: 100
  voltage: 4312
  temperature: 271
"""
THERMAL = """\
IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=61.0, mType=0, mName=BIG, mStatus=0}}
Current temperatures from HAL:
	Temperature{{mValue=44.5, mType=0, mName=BIG, mStatus=0}}
	Temperature{{mValue=41.25, mType=0, mName=LITTLE, mStatus=0}}
	Temperature{{mValue=NaN, mType=0, mName=MID, mStatus=0}}
	Temperature{{mValue=-99.9, mType=1, mName=G3D, mStatus=0}}
	Temperature{{mValue=31.2, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
Current cooling devices from HAL:
	CoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
"""
RAILS = """\
============= PowerStats HAL 2.0 energy meter ==============
[VSYS_PWR_DISPLAY]:Display      {display:.2f} mWs
[S2M_VDD_CPUCL2]:CPU(BIG)       {big:.2f} mWs
============= PowerStats HAL 2.0 energy consumers ==============
[CPU]:modelled      99999.00 mWs
"""


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """The phone's file system, with the programs that are run."""
    root = tmp_path / "phone"
    (root / "bin").mkdir(parents=True)
    (root / "data/local/tmp").mkdir(parents=True)
    write_program(root, "getprop", f"cat <<'E'\n{PROPERTIES}E")
    write_program(root, "am", 'printf "%s\\n" "$@" > "$PHONE/opened"')
    write_program(
        root, "dumpsys",
        'case "$1" in\n'
        f"battery) cat <<'E'\n{BATTERY}E\n;;\n"
        f"thermalservice) cat <<'E'\n{THERMAL.format(status=0)}E\n;;\n"
        f"*IPowerStats*) cat <<'E'\n{RAILS.format(display=1000, big=2000)}E\n;;\n"
        "esac",
    )  # fmt: skip
    return root


def write_program(root: Path, name: str, text: str) -> None:
    path = root / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Cables:
    """Called with options of fake_adbd.py it attaches a phone and gives its serial."""

    def __init__(self, phone: Path) -> None:
        self._phone = phone
        self._running: list[subprocess.Popen[str]] = []
        self._proxies: list[Proxy] = []

    def __call__(self, *options: str) -> str:
        return self._attach(self._start(*options))

    def through_a_proxy(self) -> tuple[str, Proxy]:
        """A cable that falls silent on command."""
        proxy = Proxy(self._start())
        self._proxies.append(proxy)
        return self._attach(proxy.port), proxy

    def _start(self, *options: str) -> int:
        adbd = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "fake_adbd.py"), str(self._phone), *options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._running.append(adbd)
        assert adbd.stdout is not None
        return int(adbd.stdout.readline())

    def _attach(self, port: int) -> str:
        serial = f"127.0.0.1:{port}"
        subprocess.run(["adb", "connect", serial], capture_output=True, check=True, timeout=30)
        return serial

    def pull(self, serial: str) -> None:
        """And reconnect it: adb takes a while to notice either."""
        self._running[-1].send_signal(signal.SIGUSR1)
        subprocess.run(["adb", "disconnect", serial], capture_output=True, timeout=30)
        subprocess.run(["adb", "connect", serial], capture_output=True, check=True, timeout=30)

    def close(self) -> None:
        subprocess.run(["adb", "kill-server"], capture_output=True, timeout=30)
        for proxy in self._proxies:
            proxy.close()
        for adbd in self._running:
            adbd.kill()
            with adbd:
                pass


@pytest.fixture
def plug_in(phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cables]:
    """The adb server and its key are this test's own."""
    home = tmp_path / "home"
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    cables = Cables(phone)
    yield cables
    cables.close()
