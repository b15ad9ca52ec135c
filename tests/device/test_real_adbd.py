"""Debian 13's own adbd, which keeps support/fake_adbd.py honest: in a network of its own, as it lets everybody in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edgebench.schema import record_files
from edgebench.schema.plan import Plan

SUITE = "trixie"
pytestmark = [
    pytest.mark.adb,
    pytest.mark.board,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("adb", "mmdebstrap", "unshare", "ip"))),
        reason="needs root, adb, mmdebstrap, unshare and ip",
    ),
]
# What runs in that network: adbd, the adb client, and a deploy between them.
INSIDE = """
import os, subprocess, sys, time
from pathlib import Path
import msgspec
from edgebench import deploy
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target
from edgebench.device.transports import _adb

loader, libraries, adbd, plan, bundle, folder = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
phone = subprocess.Popen(
    [loader, "--library-path", libraries, adbd], env={**os.environ, "ADBD_PORT": "5556"}, stderr=subprocess.DEVNULL
)
try:
    for _ in range(50):
        said = subprocess.run(["adb", "connect", "127.0.0.1:5556"], capture_output=True, text=True).stdout
        if "connected" in said and "failed" not in said:
            break
        time.sleep(0.2)
    target = Target(name="pixel", transport="adb", python=sys.executable, workdir=folder + "/agent")
    ask = lambda *words: _adb.ask(_adb.command(target), *words, where="test")
    wanted = deploy.artifacts_at([Path(bundle)])
    deploy.deploy(target, wanted, msgspec.json.decode(plan, type=Plan), Path(folder, "results"))
    print(subprocess.run([*_adb.command(target), "shell", "-T", "echo hi; exit 3"]).returncode)
    print(ask("reverse", "tcp:0", "tcp:1234").isdigit())
finally:
    subprocess.run(["adb", "kill-server"])
    phone.kill()
"""


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Debian 13 adbd and what it needs, unpacked; nothing of it is installed."""
    root = tmp_path_factory.mktemp("adbd") / "root"
    made = subprocess.run(
        ["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory", "--include=adbd",
         '--aptopt=APT::Install-Recommends "false"', SUITE, str(root)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"Debian {SUITE}'s adbd cannot be had: {made.stderr.strip().splitlines()[-1]}")
    return root


def test_the_agent_goes_through_a_real_adbd_and_measures(
    system: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    libraries = system / f"usr/lib/{os.uname().machine}-linux-gnu"
    (loader,) = libraries.glob("ld-linux-*.so.*")
    adbd = system / "usr/lib/android-sdk/platform-tools/adbd"
    arguments = [loader, f"{libraries}:{libraries / 'android'}", adbd, msgspec.json.encode(tiny_plan).decode()]
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", INSIDE, *map(str, (*arguments, relu_bundle, tmp_path))],
        env={**os.environ, "HOME": str(tmp_path), "ANDROID_ADB_SERVER_PORT": "5999"},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-3:] == ["hi", "3", "True"]
    found = [record_files.load(path) for path in (tmp_path / "results/pixel").glob("*.json")]
    assert len(found) == 2
    for one in found:
        assert one.target.transport == "adb" and one.rounds and one.golden and one.golden.passed
