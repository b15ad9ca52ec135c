"""A share of `python -m tests.support.fuzzing --inputs 100000`: what a reader cannot bear is raised with the input."""

from __future__ import annotations

import random

import pytest

from tests.support import fuzzing


@pytest.mark.parametrize(
    ("name", "inputs"), [("record", 800), ("bundle", 500), ("emissions", 150), ("annotations", 150)]
)
def test_whatever_a_file_holds_is_read_or_refused(name: str, inputs: int) -> None:
    makers = {
        "record": lambda: fuzzing.records(render_one_in=10, html_one_in=10**9),
        "bundle": fuzzing.bundles,
        "emissions": fuzzing.emissions_tables,
        "annotations": fuzzing.annotations,
    }
    count = fuzzing.run(makers[name](), inputs)
    assert 0 < count.refused < count.inputs  # damage that is none and damage that is some


def test_whatever_a_checkpoint_holds_is_read_or_refused(recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("torch")
    count = fuzzing.run(fuzzing.checkpoints(), 300)
    assert 0 < count.refused < count.inputs


def test_damage_is_signed_again() -> None:
    """What lies behind the digest is reached: a file that was taken apart and put together is a checkpoint."""
    pytest.importorskip("torch")
    import tempfile
    from pathlib import Path

    from edgebench.schema import checkpoint
    from tests.support import tiny_checkpoints

    with tempfile.TemporaryDirectory() as folder:
        made = tiny_checkpoints.make(Path(folder))
        made.path.write_bytes(fuzzing.joined(*fuzzing.split(made.path.read_bytes())))
        assert checkpoint.load(made.path).about == made.about


def test_bytes_are_broken_in_several_ways() -> None:
    data = b'{"a": 1, "b": [2, 3]}' * 20
    assert len({fuzzing.damage.broken(data, random.Random(number)) for number in range(50)}) > 30
