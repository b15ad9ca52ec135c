"""One record in words: what was measured, how well, and under which conditions."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import formatting, record_statistics, report_text
from edgebench.energy import per_inference
from edgebench.schema.record import Record


def lines(record: Record) -> Iterator[str]:
    artifact, runtime, target = record.artifact, record.runtime, record.target
    version = runtime.facts.get("version")
    ran = f"{runtime.name} {version}" if version else runtime.name
    content = f"{artifact.format} {artifact.precision}, {formatting.size(artifact.size_bytes)}"
    yield record.id
    if record.path is not None:
        yield f"  {record.path}"
    yield f"  {artifact.name} in {ran} on {target.name}{report_text.mark(record)}"
    yield f"  file      {content}, sha256 {artifact.sha256}"
    yield f"  job       {record.job}, edgebench {record.edgebench}{record.commit and f', commit {record.commit}'}"
    plan = record.plan
    yield f"  plan      {plan.preset}: at least {plan.rounds_min} rounds and {plan.seconds_min:g} s"
    ended = " ".join(filter(None, (record.outcome.status, record.outcome.stage, record.outcome.reason)))
    yield f"  ended     {ended}"
    yield from _statistics(record)
    yield from _verdict(record)
    yield from _facts(record)


def _statistics(record: Record) -> Iterator[str]:
    found = record_statistics.of(record)
    for name, estimate in (("p50", found.p50_ns), ("p90", found.p90_ns), ("p99", found.p99_ns)):
        if estimate is not None:
            yield f"  {name}       {formatting.estimate(estimate)}"
    yield from (f"  note      {why}" for why in found.no_quantiles)
    for name, ns in (("load", record.load_ns), ("first", record.first_inference_ns)):
        if ns is not None:
            yield f"  {name:<9} {formatting.time(ns)}"
    if record.memory is not None and record.memory.high_water_bytes is not None:
        yield f"  memory    {formatting.size(record.memory.high_water_bytes)} at most"
    energy, missing = per_inference.of_record(record)
    for one in energy:
        kind = "gross" if one.net_j is None else "net"
        joules = formatting.joules(one.shown_j.value)
        yield f"  energy    {joules} {kind} ({one.meter} {one.scope}, {one.provenance})"
    yield from (f"  no energy {why}" for why in missing)
    values = sum(len(one.values_ns) for one in record.rounds)
    yield f"  values    {values:,} in {len(record.rounds)} rounds"


def _verdict(record: Record) -> Iterator[str]:
    verdict = record_statistics.of(record).verdict
    yield f"  verdict   {verdict.level}"
    for reason in verdict.reasons:
        yield f"            {reason.level}: {reason.seen}. {reason.remedy}"


def _facts(record: Record) -> Iterator[str]:
    """As the device reported them before the job, and after it where they differ."""
    before, after = record.facts_before, record.facts_after
    for name in before.__struct_fields__:
        value = getattr(before, name)
        if name == "meters" or value in (None, "", ()):
            continue
        later = None if after is None else getattr(after, name)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        changed = f" (after: {later})" if later not in (None, (), value) else ""
        yield f"  {name:<20} {shown}{changed}"
