"""What this machine's processor does to products of bytes.

x86 without VNNI multiplies unsigned by signed bytes and adds two products in 16 bits (vpmaddubsw): 2 x 255 x 127 does
not fit and is cut off, and no warning tells. onnxruntime's kernels take that instruction for U8S8, LiteRT's do not.
Weights of seven bits always fit.
"""

from __future__ import annotations

import platform

from device_agents.python import facts

X86 = ("x86_64", "AMD64", "i686", "i386")


def cuts_off() -> bool:
    """Whether sums of U8S8 products are cut off here; False where the kernel does not say what it has."""
    known = facts.read("proc/cpuinfo") or ""
    return platform.machine() in X86 and "flags" in known and "vnni" not in known
