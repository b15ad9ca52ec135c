"""What an export says of files that nothing but their parent's answers vouches for."""

from __future__ import annotations

import pytest

from edgebench.schema.bundle import OutputParity, Parity
from exporters.pipeline.summary import doubts
from tests.support.records import make_artifact

CLOSE = OutputParity("boxes", sqnr_db=35.0, cosine=0.999, max_abs_diff=0.1)
FAR = OutputParity("boxes", sqnr_db=6.0, cosine=0.9, max_abs_diff=9.0)
OTHERS = OutputParity("scores", sqnr_db=12.0, top1_agreement=0.8)
WHOLE = OutputParity("ids", share_equal=0.7)


def said(*outputs: OutputParity, precision: str = "int8", accuracy: float | None = None) -> list[str]:
    found = Parity("", 30, outputs=outputs, samples="30 samples", runtime="onnxruntime", accuracy=accuracy)
    return list(doubts(make_artifact(f"net-onnx-{precision}", parity=found)))


@pytest.mark.parametrize("far", [FAR, OTHERS, WHOLE])
def test_an_int8_file_far_from_its_network_is_said(far: OutputParity) -> None:
    (line,) = said(CLOSE, far)
    assert far.name in line and "score it on data with labels" in line


def test_several_are_counted_and_close_or_scored_ones_are_not_doubted() -> None:
    assert "boxes, scores and 1 more outputs" in said(FAR, OTHERS, WHOLE)[0]
    few = OutputParity("scores", sqnr_db=37.9, top1_agreement=0.83)  # one flip among six samples
    assert said(CLOSE, few) == said(FAR, precision="fp16") == said(FAR, accuracy=0.9) == []
