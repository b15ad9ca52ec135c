"""A wheel that reports its progress while it is unpacked."""

from __future__ import annotations

import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO, Any


class Wheel(zipfile.ZipFile):
    def __init__(self, path: Path, did: Callable[[int], None]) -> None:
        """did(n): called when n more bytes have been unpacked, also within a large file."""
        super().__init__(path)
        self._did_bytes = did

    def open(self, *arguments: Any, **options: Any) -> IO[bytes]:
        stream = super().open(*arguments, **options)
        read = stream.read

        def counted(size: int = -1) -> bytes:
            data = read(size)
            self._did_bytes(len(data))
            return data

        stream.read = counted  # type: ignore[method-assign]
        return stream
