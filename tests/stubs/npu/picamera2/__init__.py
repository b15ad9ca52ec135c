"""As much of picamera2 as docs/examples/runtimes/imx500.py uses: two of three frames have an answer, of 17 ms."""

from __future__ import annotations

import itertools
from typing import Any


class Picamera2:
    def __init__(self, camera_num: int = 0) -> None:
        self._frames = itertools.count()

    def create_preview_configuration(self) -> dict[str, Any]:
        return {}

    def start(self, config: dict[str, Any], show_preview: bool = False) -> None:
        assert not show_preview

    def capture_metadata(self) -> dict[str, Any]:
        frame = next(self._frames)
        return {} if frame % 3 == 0 else {"CnnKpiInfo": (16.0 + frame % 2, 0.5)}
