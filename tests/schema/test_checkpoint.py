from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.networks import models
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from tests.support import tiny_checkpoints
from tests.support.tiny_checkpoints import SHAPE, tiny_metadata

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture
def tiny(tmp_path: Path) -> Checkpoint:
    """A checkpoint of a few hundred bytes of weights."""
    return tiny_checkpoints.make(tmp_path)


def test_what_was_saved_is_loaded(tiny: Checkpoint) -> None:
    loaded = checkpoint.load(tiny.path)
    assert loaded == tiny
    torch.manual_seed(0)
    original = models.build("ultralight", SHAPE, 3, widths=(2, 3, 4)).eval()
    image = torch.randn(2, *SHAPE)
    assert torch.equal(rebuild(loaded)(image), original(image))


def test_any_safetensors_reader_opens_it(tiny: Checkpoint) -> None:
    from safetensors import safe_open

    with safe_open(str(tiny.path), "pt") as stored:
        assert stored.get_tensor("stem.weight").shape == (2, 1, 3, 3)
        assert stored.metadata()["digest"] == tiny.digest


def test_every_changed_byte_is_found(tiny: Checkpoint) -> None:
    """Flip the lowest bit of every byte in turn, in header, padding and tensors: none may go unseen."""
    good = tiny.path.read_bytes()
    for position in range(len(good)):
        tiny.path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(BadFile, match="tiny.safetensors"):
            checkpoint.load(tiny.path)
    tiny.path.write_bytes(good)
    checkpoint.load(tiny.path)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_a_truncated_file_is_found(tiny: Checkpoint, keep: int) -> None:
    tiny.path.write_bytes(tiny.path.read_bytes()[:keep])
    with pytest.raises(BadFile):
        checkpoint.load(tiny.path)


def test_a_change_between_opening_and_building_is_found(tiny: Checkpoint) -> None:
    other = models.build("ultralight", SHAPE, 3, widths=(2, 3, 4))
    checkpoint.save(other, tiny_metadata(), tiny.path)
    with pytest.raises(BadFile, match="changed while in use"):
        rebuild(tiny)


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    """torch.save makes pickles; loading one could run anything."""
    path = tmp_path / "pickle.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(BadFile):
        checkpoint.load(path)


def test_safetensors_of_someone_else_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, str(path))
    with pytest.raises(BadFile, match="no digest"):
        checkpoint.load(path)


def test_a_newer_schema_is_refused_with_the_remedy(tmp_path: Path) -> None:
    model = models.build("ultralight", SHAPE, 3, widths=(2, 3, 4))
    path = tmp_path / "newer.safetensors"
    checkpoint.save(model, tiny_metadata(schema_version=99), path)
    with pytest.raises(BadFile, match=r"schema 99.*Upgrade edgebench"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "ultralihgt"}, UnknownName, "Did you mean 'ultralight'"),
        ({"arguments": {"depth": 3}}, BadFile, "do not fit the model 'ultralight'"),
        ({"arguments": {"widths": [2, 3]}}, BadFile, "do not fit the model 'ultralight'"),
    ],
)
def test_metadata_that_do_not_fit_the_tensors(
    tmp_path: Path, changes: dict[str, object], error: type[UserError], words: str
) -> None:
    model = models.build("ultralight", SHAPE, 3, widths=(2, 3, 4))
    made = checkpoint.save(model, tiny_metadata(**changes), tmp_path / "odd.safetensors")
    with pytest.raises(error, match=words):
        rebuild(made)


def test_tensors_of_another_network_are_refused(tmp_path: Path) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    made = checkpoint.save(other, tiny_metadata(), tmp_path / "other.safetensors")
    with pytest.raises(BadFile, match=r"other.safetensors.*do not fit"):
        rebuild(made)


class Normed(nn.Module):
    """What ultralight lacks: batch normalisation, and a depthwise convolution with two outputs per channel."""

    def __init__(self, stem: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, stem, 3)
        self.norm = nn.BatchNorm2d(stem)
        self.wide = nn.Conv2d(stem, 2 * stem, 3, groups=stem)
        self.head = nn.Linear(2 * stem, 3)

    def forward(self, image):
        return self.head(self.wide(torch.relu(self.norm(self.stem(image)))).mean((2, 3)))


def test_normalisation_and_groups_are_resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    small = Normed(3)
    small(torch.randn(8, *SHAPE))  # moves the running statistics
    made = checkpoint.save(small, tiny_metadata(arguments={}), tmp_path / "normed.safetensors")
    monkeypatch.setattr(models, "build", lambda *_: Normed(8))
    rebuilt = rebuild(made)
    image = torch.randn(2, *SHAPE)
    assert torch.equal(rebuilt(image), small.eval()(image))
    assert (rebuilt.norm.num_features, rebuilt.wide.groups, rebuilt.wide.out_channels) == (3, 3, 6)


def test_the_newest_is_found(tiny: Checkpoint) -> None:
    import os

    older = tiny.path.with_name("older.safetensors")
    older.write_bytes(tiny.path.read_bytes())
    os.utime(older, ns=(0, 0))
    assert checkpoint.newest(tiny.path.parent) == tiny.path


def test_no_checkpoint_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="edgebench train"):
        checkpoint.newest(tmp_path / "nothing")


def test_default_names_never_replace_anything(tiny: Checkpoint) -> None:
    folder = tiny.path.parent
    assert checkpoint.new_path("tiny", folder) == folder / "tiny-2.safetensors"
    assert checkpoint.new_path("tiny", tiny.path) == tiny.path
    assert checkpoint.new_path("other", folder) == folder / "other.safetensors"


def test_an_unwritable_place_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        checkpoint.new_path("x", tmp_path / "file" / "x.safetensors")


def test_reading_metadata_needs_no_heavy_library(tiny: Checkpoint) -> None:
    code = (
        "import sys; from pathlib import Path; from edgebench.schema import checkpoint; "
        f"print(checkpoint.load(Path({str(tiny.path)!r})).about.model); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'safetensors', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "ultralight"), done.stderr
