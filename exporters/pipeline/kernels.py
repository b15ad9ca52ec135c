"""Which kernels ONNX INT8 is made for, depending on the processors it is for.

x86 without VNNI multiplies unsigned by signed bytes and adds two products in 16 bits (vpmaddubsw): 2 x 255 x 127 does
not fit and saturates, without a warning. onnxruntime's kernels use that instruction for U8S8, LiteRT's do not. Weights
of seven bits always fit.

ARM multiplies bytes of either sign, and any number of channels. Whether signed activations take fewer instructions
there depends on the network; on x86 onnxruntime then leaves the operators around sums in float, which may be most of a
network.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping

from device_agents.python import facts
from edgebench.schema.targets import Target
from exporters import Kernels

X86 = ("x86_64", "AMD64", "i686", "i386")
# Share of the instructions with unsigned activations, on every board: counts repeat to 0.01.
SIGNED_WORTH = 0.97


def kernels_for(places: Collection[Target | str], counts: Mapping[str, Mapping[str, int]], *, no_vnni: bool) -> Kernels:
    """places: targets, or names of boards whose ARM instructions were counted.

    counts: instructions of this network there, by board, by form (`Kernels.form`).
    """
    if no_vnni or cuts_off():
        return Kernels(weight_bits=7)
    boards = [place for place in places if isinstance(place, str)]
    if not boards or len(boards) < len(places):
        return Kernels()
    unsigned, signed = Kernels(x86=False), Kernels(signed=True, x86=False)
    pays = all(
        board in counts and counts[board][signed.form] <= SIGNED_WORTH * counts[board][unsigned.form]
        for board in boards
    )
    return signed if pays else unsigned


def cuts_off() -> bool:
    """Whether sums of U8S8 products saturate on this machine; False where the kernel does not list its features."""
    known = facts.read("proc/cpuinfo") or ""
    return platform.machine() in X86 and "flags" in known and "vnni" not in known
