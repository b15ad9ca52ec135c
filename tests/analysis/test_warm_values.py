"""What the host computes of a round in numpy is what the device decides by, to the last bit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from device_agents.python import series
from edgebench.analysis import warm_values
from edgebench.schema.record import Round
from tests.support.records import make_rounds

PATIENT = settings(deadline=None, derandomize=True, max_examples=300)
# Few different values as well: ties are where two implementations part.
VALUES = st.lists(st.integers(1, 10**12), min_size=1, max_size=60) | st.lists(
    st.integers(1, 4), min_size=1, max_size=60
)


@PATIENT
@given(VALUES, st.integers(1, 1000), st.booleans())
def test_a_round_is_to_the_host_what_it_was_to_the_device(values: list[int], block: int, paced: bool) -> None:
    found = warm_values.of((Round(0, block, tuple(values), 0, missed=0 if paced else None),))
    left = values if paced else values[series.cold_prefix(values) :]
    assert found.medians_ns == [series.median(left) / block]
    assert found.counts == [len(left)]
    assert found.values_ns[0].tolist() == [value / block for value in left]
    assert found.pooled_ns.tolist() == sorted(value / block for value in left)


@PATIENT
@given(VALUES, st.floats(0.01, 0.99))
def test_a_quantile_is_numpys(values: list[int], q: float) -> None:
    import numpy as np
    import pytest

    (found,) = warm_values.of((Round(0, 1, tuple(values), 0, missed=0),)).quantiles_ns(q)
    assert found == pytest.approx(float(np.quantile(values, q)), rel=1e-12)


def test_a_records_rounds_are_computed_once_and_only_a_few_records_are_kept() -> None:
    first = make_rounds([100, 101])
    kept = warm_values.of(first)
    assert warm_values.of(first) is kept
    assert warm_values.of(make_rounds([100, 101])) is not kept  # equal, and another record's
    for _ in range(10):
        warm_values.of(make_rounds([100, 101]))
    assert warm_values.of(first) is not kept
