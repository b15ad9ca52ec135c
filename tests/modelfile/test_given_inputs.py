"""--inputs FILE.npz: arrays by input name, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.errors import BadFile, UserError
from edgebench.modelfile import given_inputs
from edgebench.schema.bundle import TensorSpec

IMAGE = TensorSpec("image", (1, 3, 4, 4), "float32", "NCHW")
IDS = TensorSpec("ids", (1, 5), "int64", "NC")
STATE = TensorSpec("state", (2, 1, 8), "float32", "any")
RATE = TensorSpec("rate", (), "int64", "any")


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "given.npz", **arrays)
    return folder / "given.npz"


def test_samples_are_along_the_first_axis_and_what_is_the_same_for_all_is_given_once(tmp_path: Path) -> None:
    path = npz(
        tmp_path, image=np.ones((7, 3, 4, 4), "f4"), ids=np.arange(35).reshape(7, 1, 5), state=np.ones((2, 1, 8), "f4"),
        rate=np.array(16000), other=np.zeros(1),
    )  # fmt: skip
    found = given_inputs.read(path, [IMAGE, IDS, STATE, RATE], "net")
    assert found.count == 7
    assert {name: array.shape for name, array in found.arrays.items()} == {
        "image": (7, 3, 4, 4), "ids": (7, 5), "state": (7, 2, 1, 8), "rate": (7,),
    }  # fmt: skip
    assert (found.arrays["rate"] == 16000).all() and found.arrays["ids"][6, 0] == 30


def test_the_only_array_is_for_the_only_input_whatever_it_is_called(tmp_path: Path) -> None:
    found = given_inputs.read(npz(tmp_path, x=np.zeros((2, 5), np.int32)), [IDS], "net")
    assert found.arrays["ids"].dtype == np.int64, "every int32 is an int64"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": np.zeros((2, 3, 4, 4), "f4")}, r"it has no array 'ids', only image\. net takes: image, ids"),
        (
            {"image": np.zeros((2, 4, 4, 3), "f4")},
            r"its shape is \[2, 4, 4, 3\], .* \[1, 3, 4, 4\]",
        ),
        ({"image": np.zeros((3, 3, 4, 4), "f4")}, "different numbers of samples: image has 3, ids has 2"),
        ({"image": np.full((2, 3, 4, 4), np.nan, "f4")}, "96 of its numbers are NaN or infinite"),
        (
            {"image": np.zeros((2, 3, 4, 4), "u1")},
            r"its dtype is uint8, .* float32.*astype",
        ),
        ({"image": np.zeros((2, 3, 4, 4), "f4"), "ids": np.zeros((2, 5), "f4")}, "ids: its dtype is float32"),
        ({"image": np.zeros((2, 3, 4, 4), "U1")}, "its dtype is <U1, not numbers"),
        ({"image": np.zeros((0, 3, 4, 4), "f4"), "ids": np.zeros((0, 5), int)}, "its arrays have no samples"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    held = arrays if "ids" in arrays or len(arrays) == 1 and "no array" in words else {"ids": np.zeros((2, 5), int)}
    with pytest.raises(UserError, match=words):
        given_inputs.read(npz(tmp_path, **{**held, **arrays}), [IMAGE, IDS], "net")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip"])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "given.npz"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="not an .npz file"):
        given_inputs.read(path, [IDS], "net")
    np.savez(path, ids=np.array([{"code": 1}], dtype=object))
    with pytest.raises(BadFile, match="plain arrays"):
        given_inputs.read(path, [IDS], "net")
    with pytest.raises(BadFile, match="no such file"):
        given_inputs.read(tmp_path / "other.npz", [IDS], "net")
