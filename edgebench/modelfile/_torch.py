"""A .pt2 file, a ZIP archive of torch.export, read without its weights: its JSON describes the program's inputs."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from edgebench.modelfile._what import Input, ModelFile

_LARGEST_PROGRAM_BYTES = 1 << 28
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
           12: "bool", 13: "bfloat16"}  # fmt: skip
_NAME = re.compile(r"^(?:Symbol\(')?(\w+)")


def read(path: Path) -> ModelFile | None:
    """None for the layouts of other versions of torch: then only the runtime knows what it takes."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if one.filename.endswith("/models/model.json")]
            if len(entries) != 1 or entries[0].file_size > _LARGEST_PROGRAM_BYTES:
                return None
            module = json.loads(archive.read(entries[0]))["graph_module"]
        values = module["graph"]["tensor_values"]
        names = [spec["user_input"]["arg"]["as_tensor"]["name"] for spec in module["signature"]["input_specs"]
                 if "user_input" in spec]  # fmt: skip
        return ModelFile(inputs=tuple(_input(name, values[name]) for name in names))
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, RecursionError):
        return None


def _input(name: str, value: dict[str, Any]) -> Input:
    shape: list[int | str] = []
    stored = []
    for size in value["sizes"]:
        if "as_int" in size:
            shape.append(int(size["as_int"]))
            stored.append(int(size["as_int"]))
        else:
            found = _NAME.match(str(size["as_expr"]["expr_str"]))
            shape.append(found[1] if found else "")
            stored.append(int(size["as_expr"]["hint"]["as_int"]))
    return Input(name, tuple(shape), _DTYPES.get(value["dtype"], "unknown"), stored=tuple(stored))
