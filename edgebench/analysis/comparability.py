"""Conditions that must be equal for a fair comparison of two records, but are not."""

from __future__ import annotations

from edgebench.schema.record import Record


def differences(record: Record, baseline: Record) -> tuple[str, ...]:
    """The conditions that differ, in words."""
    conditions: dict[str, tuple[object, object]] = {
        "runs": (_place(record), _place(baseline)),
        "threads": (_threads(record), _threads(baseline)),
        "plan": (record.plan.preset, baseline.plan.preset),
    }
    if record.target.name == baseline.target.name:
        conditions["processors"] = record.runtime.cpus or None, baseline.runtime.cpus or None
        own, base = record.facts_before, baseline.facts_before
        conditions |= {
            "device": (own.model, base.model),
            "processor": (own.cpu, base.cpu),
            "governor": (own.governor, base.governor),
            "kernel": (own.kernel, base.kernel),
        }
        if record.runtime.name == baseline.runtime.name:
            versions = record.runtime.facts.get("version"), baseline.runtime.facts.get("version")
            conditions[record.runtime.name] = versions
    unequal = tuple(
        f"{name}: {own}, baseline {base}"
        for name, (own, base) in conditions.items()
        if None not in (own, base) and own != base
    )
    return unequal + _unlike_inputs(record, baseline)


def _threads(record: Record) -> int:
    """As it ran if that is known, else as requested."""
    return record.runtime.threads or record.target.threads


def _place(record: Record) -> str:
    if record.means_only:
        return "in benchmark_model (means)"
    return f"in a browser ({record.in_browser_by})" if record.in_browser else "natively"


def _unlike_inputs(record: Record, baseline: Record) -> tuple[str, ...]:
    """Input sizes of one image that differ from the baseline's, in any layout, or another number of images at once."""
    if not record.fed or not baseline.fed:
        known = record.batch or baseline.batch
        return (f"inputs: {fed(record) or 'unknown'}, baseline {fed(baseline) or 'unknown'}",) if known else ()
    unlike = sizes(record) != sizes(baseline) or (record.batch or 1) != (baseline.batch or 1)
    return (f"inputs: {fed(record)}, baseline {fed(baseline)}",) if unlike else ()


def sizes(record: Record) -> list[list[int]]:
    """Dimensions of the inputs of one image, each in ascending order, so that NCHW and NHWC are equal."""
    first = 0 if record.batch is None else 1
    return sorted(sorted(one.shape[first:]) for one in record.fed)


def fed(record: Record) -> str:
    """`4x1x28x28`: the shapes of the inputs as they were fed; empty if unknown."""
    return ", ".join("x".join(map(str, one.shape)) or "scalar" for one in record.fed)
