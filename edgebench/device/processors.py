"""Which processors a target's `cpus: big` or `cpus: little` are on the device at hand."""

from __future__ import annotations

import msgspec

from edgebench.errors import UserError
from edgebench.progress import Progress
from edgebench.schema.facts import CoreClass, Facts
from edgebench.schema.targets import Target


def of_class(target: Target, facts: Facts, progress: Progress) -> Target:
    """The target with processors by number; what was chosen is said. Raises UserError if the device does not tell its
    processors apart.
    """
    if not isinstance(target.cpus, str):
        return target
    classes = facts.core_classes
    if not classes:
        raise UserError(
            f"target '{target.name}'",
            f"`cpus: {target.cpus}`, but its kernel does not tell how fast its processors are",
            "Give their numbers: cpus: [2, 3]",
        )
    chosen = classes[0] if target.cpus == "big" else classes[-1]
    if len(classes) == 1:
        progress.say(
            f"{target.name} has one class of processors ({_numbers(chosen)}): `cpus: {target.cpus}` chooses all of them"
        )
    else:
        progress.say(f"Processors of {target.name}: {target.cpus} ones {_numbers(chosen)}, of {_named(classes)}")
    return msgspec.structs.replace(target, cpus=chosen.cpus)


def _named(classes: tuple[CoreClass, ...]) -> str:
    return ", ".join(f"{_numbers(one)} ({one.speed / classes[0].speed:.0%})" for one in classes)


def _numbers(chosen: CoreClass) -> str:
    return ", ".join(map(str, chosen.cpus))
