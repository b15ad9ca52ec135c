from __future__ import annotations

from pathlib import Path
from typing import Any


class IMX500:
    def __init__(self, network_file: str, camera_id: str = "") -> None:
        if not Path(network_file).read_bytes().startswith(b"9464"):
            raise RuntimeError(f"IMX500: Unable to set network firmware {network_file}")

    @staticmethod
    def get_kpi_info(metadata: dict[str, Any]) -> tuple[float, float] | None:
        return metadata.get("CnnKpiInfo")

    def get_outputs(self, metadata: dict[str, Any], add_batch: bool = False) -> list[Any] | None:
        return None
