"""Processors by class, from made-up /sys trees."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from device_agents.python import facts as facts_
from edgebench.device import processors
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.schema.facts import CoreClass, Facts
from edgebench.schema.targets import Target
from tests.support.machine import all_facts, plant
from tests.support.machine import root as root
from tests.support.said import Heard

HERE = Target(name="here", transport="local")


def class_facts(root: Path, monkeypatch: pytest.MonkeyPatch, **speeds: list[int]) -> Facts:
    """Files of each processor: capacity, or the highest clock in kHz."""
    names = {"capacity": "cpu_capacity", "khz": "cpufreq/cpuinfo_max_freq"}
    for name, own in speeds.items():
        plant(root, {f"sys/devices/system/cpu/cpu{n}/{names[name]}": f"{value}\n" for n, value in enumerate(own)})
    count = max(1, *map(len, speeds.values()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))
    return all_facts()


@pytest.mark.parametrize(
    ("speeds", "big", "little"),
    [
        ({"capacity": [446] * 4 + [1024] * 2}, (4, 5), (0, 1, 2, 3)),
        ({"capacity": [250] * 4 + [801] * 3 + [1024]}, (7,), (0, 1, 2, 3)),
        ({"khz": [1_400_000, 1_400_000, 2_000_000]}, (2,), (0, 1)),
        ({"capacity": [1024, 446], "khz": [1_000_000, 2_000_000]}, (0,), (1,)),
        ({"khz": [5_500_000, 5_800_000, 5_600_000, 4_300_000]}, (0, 1, 2), (3,)),
    ],
)
def test_classes_are_told_by_capacity_else_by_clock(
    root: Path, monkeypatch: pytest.MonkeyPatch, speeds: dict[str, list[int]], big: object, little: object
) -> None:
    found = class_facts(root, monkeypatch, **speeds)
    for name, expected in (("big", big), ("little", little)):
        heard = Heard()
        chosen = processors.of_class(msgspec.structs.replace(HERE, cpus=name), found, heard)
        assert chosen.cpus == expected
        (line,) = heard.lines
        assert line.startswith(f"Processors of here: {name} ones {', '.join(map(str, chosen.cpus))}, of ")


def test_where_the_kernel_does_not_tell_classes_nothing_is_guessed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not class_facts(root, monkeypatch, capacity=[]).core_classes
    with pytest.raises(UserError, match="does not tell how fast"):
        processors.of_class(msgspec.structs.replace(HERE, cpus="big"), Facts(), Silent())
    assert processors.of_class(HERE, Facts(), Silent()) is HERE
    assert facts_.core_classes() is None


def test_one_class_is_said() -> None:
    heard = Heard()
    alike = Facts(core_classes=(CoreClass((0, 1), 1024),))
    assert processors.of_class(msgspec.structs.replace(HERE, cpus="little"), alike, heard).cpus == (0, 1)
    assert heard.lines == ["here has one class of processors (0, 1): `cpus: little` chooses all of them"]
