"""What a runtime's own profiler says of the layers of a network, in a pass of its own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgebench.schema.limits import Amount, Index, Text


class LayerTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One layer as the runtime runs it, which may be several of the file in one.

    name: the runtime's; kind: its operator; kernel: the code that computed it; precision: what that computes in, as the
    runtime says ("f32", "u8", ...). ns: mean of all inferences, or of the middle half where the profiler shows each:
    profilers count in whole microseconds, of which a median says too little. parents: the layers of the checkpoint, or
    of the file, that it computes; empty for conversions and where the names do not say. shape: of its first output, as
    the runtime has it; empty where it does not say.
    """

    name: Text
    kind: Text
    ns: Amount
    kernel: Text = ""
    precision: Text = ""
    parents: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = ()
    shape: Annotated[tuple[Index, ...], msgspec.Meta(max_length=16)] = ()


class LayerTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The layers in the order in which they ran. reason: why there are none. cut: without a profiler, the
    network ran up to each layer in turn, and a layer's time is what that added.

    plain_ns, profiled_ns: median of a whole inference right before, and with the profiler; the difference is its cost.
    """

    reason: Text = ""
    inferences: Index = 0
    plain_ns: Amount = 0.0
    profiled_ns: Amount = 0.0
    layers: Annotated[tuple[LayerTime, ...], msgspec.Meta(max_length=20_000)] = ()
    cut: bool = False

    @property
    def overhead(self) -> float:
        """Of the profiler: 0.2 where an inference takes 20 % longer with it."""
        return self.profiled_ns / self.plain_ns - 1 if self.plain_ns else 0.0
