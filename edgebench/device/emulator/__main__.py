"""`fakeroot python -m edgebench.device.emulator BOARD OUT`: the build for users who are not root.

fakeroot wraps a whole process, so the build needs its own. A UserError is passed back in a file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgebench.device.emulator.boards import find_board
from edgebench.device.emulator.image import build_image
from edgebench.errors import UserError


def main(board: str, out: Path) -> int:
    try:
        build_image(find_board(board), out, lambda line: print(line, flush=True))
    except UserError as error:
        (out / "error.json").write_text(json.dumps([error.where, error.seen, error.remedy]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
