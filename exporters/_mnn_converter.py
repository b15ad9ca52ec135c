"""A program of its own: MNN's converter, cut off from all networks. Its arguments are the converter's.

MNN's console script `mnnconvert` is never used: it installs a package and reports to a server. This calls what that
script calls, the compiled module alone.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "urllib.")


def cut_off() -> None:
    """For this process and all that it starts. Where the kernel gives it no network of its own, which is an empty one,
    Python refuses to open connections and to start programs.
    """
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK)

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"MNN's converter must not do this: {event}")

    sys.addaudithook(refuse)


if __name__ == "__main__":
    cut_off()
    import _tools

    _tools.mnnconvert(["mnnconvert", *sys.argv[1:]])
