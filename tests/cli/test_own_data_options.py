from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.cli import _own_data
from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.networks.own_data import address
from edgebench.schema.preprocessing import Geometry


def test_sizes_as_they_are_typed() -> None:
    assert _own_data.geometry(None, None, "bilinear", True) is None
    assert _own_data.geometry("256", "224", "bicubic", True) == Geometry((256,), (224, 224), "bicubic")
    assert _own_data.geometry("224x320", None, "bilinear", False) == Geometry((224, 320), antialias=False)
    assert str(Geometry((256,), (224, 224), "bicubic", False)) == (
        "shorter side resized to 256 (bicubic, not antialiased), middle 224x224 cut out"
    )


@pytest.mark.parametrize("text", ["", "0", "1x2x3", "-4", "big", "99999"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="is not a size in pixels"):
        _own_data.geometry(text, None, "bilinear", True)


def test_interpolation_of_nothing() -> None:
    with pytest.raises(UserError, match="nothing is resized"):
        _own_data.geometry(None, "224", "bicubic", True)


def test_choices_stand_behind_the_name() -> None:
    assert _own_data.address("photos", 0, False) == "photos"
    assert _own_data.address("photos@10", 3, True) == "photos@10?seed=3&skip-broken"
    assert _own_data.address(None, 3, True) is None
    found = address.parse("my.data:make@10,4?seed=3&skip-broken")
    assert (found.kind, found.where, found.seed, found.skip_broken, found.part) == (
        "code",
        "my.data:make",
        3,
        True,
        "10,4",
    )
    assert str(found) == "my.data:make@10,4?seed=3&skip-broken"


@pytest.mark.parametrize("behind", ["@-5", "@a", "?seed=x", "@10?seed", "?skip-broken&seed=-1"])
@pytest.mark.parametrize("name", ["{}", "my.data:make"])
def test_what_stands_behind_a_name_and_cannot_be_read(
    name: str, behind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    typed = name.format("digits") + behind
    with pytest.raises(UserError, match="cannot be read") as caught:
        data.load(typed)
    assert f"'{behind}'" in str(caught.value)
