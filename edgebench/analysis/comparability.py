"""The gate of a comparison: one list of conditions, each with a rule.

equal    if it is not, there is no ratio, unless it is asked for (`compare --anyway`), which every output then marks
noted    it may differ, and reports say so
scaled   the ratio is converted: times per image (`ratios.of_images`)

A condition that one of the two records does not know does not count as a difference. A record that failed its golden
check is invalid before it comes here (`analysis/verdict`), and joules are compared within one scope and provenance
(`energy_ratios`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from edgebench.analysis import computed_precision
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record

Rule = Literal["equal", "noted", "scaled"]
Values = tuple[object, object]

_WARMER_C = 10.0
_OLDER_DAYS = 30


@dataclass(frozen=True)
class ComparedCondition:
    """differing: the two values in words if they differ, own first; None if they do not or are not known."""

    name: str
    rule: Rule
    differing: Callable[[Record, Record], Values | None]


@dataclass(frozen=True)
class Unlike:
    """A condition that differs from the baseline's."""

    name: str
    rule: Rule
    own: object
    base: object

    def __str__(self) -> str:
        return f"{self.name}: {self.own}, baseline {self.base}"


def unlike(record: Record, baseline: Record) -> tuple[Unlike, ...]:
    """Every condition that differs, in the order of the list."""
    found = ((one, one.differing(record, baseline)) for one in CONDITIONS)
    return tuple(Unlike(one.name, one.rule, *values) for one, values in found if values)


def command(record: Record, baseline: Record) -> str:
    """Measures both in one job, which makes all conditions equal."""
    files = dict.fromkeys(one.artifact.content.file for one in (baseline, record))
    return f"edgebench deploy --target {baseline.target.name} --plan {baseline.plan.preset} {' '.join(files)}"


def _always(read: Callable[[Record], object]) -> Callable[[Record, Record], Values | None]:
    def differing(record: Record, baseline: Record) -> Values | None:
        values = read(record), read(baseline)
        return values if None not in values and values[0] != values[1] else None

    return differing


def _on_one_target(read: Callable[[Record], object]) -> Callable[[Record, Record], Values | None]:
    """Between two targets it is part of what is compared."""
    differing = _always(read)
    return lambda own, base: differing(own, base) if own.target.name == base.target.name else None


def _between_targets(read: Callable[[Record], object]) -> Callable[[Record, Record], Values | None]:
    differing = _always(read)
    return lambda own, base: differing(own, base) if own.target.name != base.target.name else None


def _in_one_runtime(read: Callable[[Record], object]) -> Callable[[Record, Record], Values | None]:
    differing = _on_one_target(read)
    return lambda own, base: differing(own, base) if own.runtime.name == base.runtime.name else None


def _between_jobs(read: Callable[[Record], object]) -> Callable[[Record, Record], Values | None]:
    """Inside one job it differs because that was asked for (`deploy --threads 1,2,4`)."""
    differing = _on_one_target(read)
    return lambda own, base: differing(own, base) if own.job != base.job else None


def _place(record: Record) -> str:
    if record.target.emulated:
        return "emulated"
    if record.means_only:
        return "in benchmark_model (means)"
    return f"in a browser ({record.in_browser_by})" if record.in_browser else "natively"


def _pace(record: Record) -> str:
    """What a plan does to the device, whatever its precision."""
    plan = record.plan
    if plan.duty_hz:
        return f"{plan.duty_hz:g} inferences a second"
    return "without a rest (sustained)" if plan.sustained else "back to back"


# What the values of a plan change is how precisely it measures, not what.
_NOT_VALUES = ("preset", "duty_hz", "sustained", "seed", "sampling", "accuracy", "layers")


def _plan_values(record: Record, baseline: Record) -> Values | None:
    if record.plan.preset != baseline.plan.preset:
        return None
    names = [
        name
        for name in Plan.__struct_fields__
        if not name.startswith(("energy_", "carbon", *_NOT_VALUES)) and _differ(record.plan, baseline.plan, name)
    ]
    own, base = (", ".join(f"{name} {getattr(one.plan, name)}" for name in names) for one in (record, baseline))
    return (own, base) if names else None


def _differ(own: Plan, base: Plan, name: str) -> bool:
    return bool(getattr(own, name) != getattr(base, name))


def _providers(record: Record) -> object:
    found = record.runtime.notes.get("providers")
    return ", ".join(map(str, found)) if isinstance(found, list | tuple) and found else None


def _computed(record: Record, baseline: Record) -> Values | None:
    """Of files that are called equal: between fp32 and INT8 files it is what is compared."""
    if record.artifact.precision != baseline.artifact.precision:
        return None
    own, base = computed_precision.of(record), computed_precision.of(baseline)
    if not own.names or not base.names or set(own.settled) & set(base.settled):
        return None
    return str(own), str(base)


def _temperatures(record: Record, baseline: Record) -> Values | None:
    own, base = record.facts_before.temperature_c, baseline.facts_before.temperature_c
    if record.target.name != baseline.target.name or own is None or base is None or abs(own - base) <= _WARMER_C:
        return None
    return f"{own:.0f} °C", f"{base:.0f} °C"


def _throttled(record: Record) -> str:
    return "throttled" if any(one.throttled for one in record.rounds) else "not throttled"


def _dates(record: Record, baseline: Record) -> Values | None:
    own, base = moment(record), moment(baseline)
    if own is None or base is None or abs((own - base).days) <= _OLDER_DAYS:
        return None
    return f"{own:%Y-%m-%d}", f"{base:%Y-%m-%d}"


def moment(record: Record) -> datetime | None:
    """`20261129T100000.000Z`, in UTC; None for anything else."""
    return _moment(record.created[:15])


@functools.lru_cache(maxsize=4096)
def _moment(created: str) -> datetime | None:
    try:
        return datetime.strptime(created + "+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None


def _hashes(record: Record, baseline: Record) -> Values | None:
    own, base = record.artifact, baseline.artifact
    if own.name != base.name or own.sha256 == base.sha256:
        return None
    return own.sha256[:8], base.sha256[:8]


def _test_sets(record: Record, baseline: Record) -> Values | None:
    own, base = record.artifact.parity, baseline.artifact.parity
    if own is None or base is None or not own.dataset or not base.dataset:
        return None
    if (own.dataset, own.images) == (base.dataset, base.images):
        return None
    return f"{own.images} images of {own.dataset}", f"{base.images} of {base.dataset}"


def _scaled_inputs(record: Record, baseline: Record) -> Values | None:
    """Another number of images at once, of the same sizes."""
    if not _fed_both(record, baseline) or sizes(record) != sizes(baseline):
        return None
    return _shapes(record, baseline) if (record.batch or 1) != (baseline.batch or 1) else None


def _same_networks_inputs(record: Record, baseline: Record) -> Values | None:
    """Other sizes for one network are another amount of work."""
    return _other_sizes(record, baseline) if _is_same_network(record, baseline) else None


def _other_networks_inputs(record: Record, baseline: Record) -> Values | None:
    """Networks may differ in the sizes that they are made for."""
    if _is_same_network(record, baseline):
        return None
    if _fed_both(record, baseline):
        return _other_sizes(record, baseline)
    return _shapes(record, baseline) if record.batch or baseline.batch else None


def _is_same_network(record: Record, baseline: Record) -> bool:
    return record.artifact.sha256 == baseline.artifact.sha256 or record.artifact.name == baseline.artifact.name


def _other_sizes(record: Record, baseline: Record) -> Values | None:
    if not _fed_both(record, baseline) or sizes(record) == sizes(baseline):
        return None
    return _shapes(record, baseline)


def _fed_both(record: Record, baseline: Record) -> bool:
    return bool(record.fed and baseline.fed)


def _shapes(record: Record, baseline: Record) -> Values:
    return fed(record) or "unknown", fed(baseline) or "unknown"


def sizes(record: Record) -> list[list[int]]:
    """Dimensions of the inputs of one image, each in ascending order, so that NCHW and NHWC are equal."""
    first = 0 if record.batch is None else 1
    return sorted(sorted(one.shape[first:]) for one in record.fed)


def fed(record: Record) -> str:
    """`4x1x28x28`: the shapes of the inputs as they were fed; empty if unknown."""
    return ", ".join("x".join(map(str, one.shape)) or "scalar" for one in record.fed)


def _fact(name: str) -> Callable[[Record], Any]:
    return lambda record: getattr(record.facts_before, name)


def _supply(record: Record) -> str | None:
    on_battery = record.facts_before.on_battery
    return None if on_battery is None else "battery" if on_battery else "mains"


def _virtual(record: Record) -> str | None:
    virtual = record.facts_before.virtual_machine
    return None if virtual is None else "a virtual machine" if virtual else "a machine"


def _clock(record: Record) -> str | None:
    highest = record.facts_before.clock_max_hz
    return highest and f"{highest / 1e9:.2f} GHz"  # type: ignore[return-value]


def _gpus(record: Record) -> str | None:
    return ", ".join(record.facts_before.gpus) or None


def _started(record: Record) -> int:
    """As it ran if that is known, else as requested."""
    return record.runtime.threads or record.target.threads


def _version_of(record: Record) -> str | None:
    version = record.runtime.facts.get("version")
    return version and f"{record.runtime.name} {version}"


CONDITIONS: tuple[ComparedCondition, ...] = (
    ComparedCondition("runs", "equal", _always(_place)),
    ComparedCondition("pace", "equal", _always(_pace)),
    ComparedCondition("inputs", "scaled", _scaled_inputs),
    ComparedCondition("inputs", "equal", _same_networks_inputs),
    ComparedCondition("inputs", "noted", _other_networks_inputs),
    ComparedCondition("computed in", "equal", _computed),
    ComparedCondition("device", "equal", _on_one_target(_fact("model"))),
    ComparedCondition("processor", "equal", _on_one_target(_fact("cpu"))),
    ComparedCondition("GPU", "equal", _on_one_target(_gpus)),
    ComparedCondition("machine", "equal", _on_one_target(_virtual)),
    ComparedCondition("computes on", "equal", _on_one_target(lambda record: record.target.device)),
    ComparedCondition("provider", "equal", _in_one_runtime(_providers)),
    ComparedCondition("threads", "equal", _between_jobs(lambda record: record.target.threads)),
    ComparedCondition("threads", "noted", _between_targets(_started)),
    ComparedCondition("threads started", "noted", _in_one_runtime(lambda record: record.runtime.threads)),
    ComparedCondition("cores", "equal", _on_one_target(lambda record: len(record.runtime.cpus) or None)),
    ComparedCondition("processors", "noted", _on_one_target(lambda record: list(record.runtime.cpus) or None)),
    ComparedCondition("governor", "equal", _on_one_target(_fact("governor"))),
    ComparedCondition("highest clock", "noted", _on_one_target(_clock)),
    ComparedCondition("supply", "equal", _on_one_target(_supply)),
    ComparedCondition("supply current", "noted", _on_one_target(_fact("supply_a"))),
    ComparedCondition("throttling", "noted", _on_one_target(_throttled)),
    ComparedCondition("temperature at the start", "noted", _temperatures),
    ComparedCondition("plan", "noted", _always(lambda record: record.plan.preset)),
    ComparedCondition("plan's values", "noted", _plan_values),
    ComparedCondition("kernel", "noted", _on_one_target(_fact("kernel"))),
    ComparedCondition("runtime", "noted", _in_one_runtime(_version_of)),
    ComparedCondition("build", "noted", _in_one_runtime(lambda record: record.runtime.facts.get("build"))),
    ComparedCondition("edgebench", "noted", _on_one_target(lambda record: record.edgebench)),
    ComparedCondition("measured", "noted", _dates),
    ComparedCondition("file", "noted", _hashes),
    ComparedCondition("test set", "noted", _test_sets),
)
