from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgebench import pack
from edgebench.errors import BadFile, MissingPackage, UnknownName, UserError
from edgebench.networks import data, models, packed_file, packing, pruning, training, weight_sharing
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.packing import _bits, _canonical
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from tests.conftest import run_cli

torch = pytest.importorskip("torch")

every_format = pytest.mark.parametrize("name", packing.names())
GREY, COLOUR = (1, 28, 28), (3, 32, 32)

# Any bits at all: NaNs with a payload, infinities, numbers too small to be normal, and often zeros of both signs.
values = st.one_of(
    st.just(0),
    st.just(0),
    st.just(0x8000_0000),
    st.sampled_from([0x7FC0_0001, 0xFF80_0000, 1]),
    st.integers(0, 2**32 - 1),
)
any_array = arrays.arrays(
    np.uint32, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7), elements=values
).map(lambda bits: bits.view(np.float32) if bits.ndim else np.float32(bits.reshape(1).view(np.float32)[0]).reshape(()))


def comes_back(name: str, array: Any) -> bytes:
    """Pack and unpack; every bit must be there again."""
    plugin = packing.load(name)
    packed = plugin.pack(array)
    again = plugin.unpack(packed, array.shape)
    assert (again.dtype, again.shape) == (np.float32, array.shape)
    assert np.array_equal(again.view(np.uint32), array.view(np.uint32))
    return packed


# ------------------------------------------------------------------ formats


@every_format
@given(array=any_array)
@settings(deadline=None)
def test_every_bit_comes_back(name: str, array: Any) -> None:
    comes_back(name, array)


@every_format
@pytest.mark.parametrize("gap", [0, 1, 253, 254, 255, 256, 509, 510, 511, 1000])
def test_long_gaps_come_back(name: str, gap: int) -> None:
    array = np.zeros((2, gap + 3), np.float32)
    array[0, 0], array[0, gap + 1], array[1, -1] = 1.5, -2.5, 3.5
    comes_back(name, array)


@every_format
def test_many_values_come_back(name: str) -> None:
    """Longer than a block of Huffman's code, with more values than it lists."""
    random = np.random.default_rng(0)
    array = random.normal(size=(70, 97)).astype(np.float32)
    array[random.random(array.shape) < 0.6] = 0
    packed = comes_back(name, array)
    assert len(packed) < array.nbytes


@every_format
def test_nothing_but_zeros_takes_next_to_nothing(name: str) -> None:
    array = np.zeros((500, 200), np.float32)
    assert len(comes_back(name, array)) < array.nbytes / 30


def test_bytes_of_each_format() -> None:
    array = np.zeros((4, 10), np.float32)
    array[0, 3], array[2, 5] = 1.0, -1.0
    assert packing.load("bitmask").pack(array) == bytes([0b0001_0000, 0, 0, 0b0100_0000, 0]) + _floats(1.0, -1.0)
    assert packing.load("csr").pack(array) == _ints(0, 1, 1, 2, 2) + _ints(3, 5) + _floats(1.0, -1.0)
    assert packing.load("gap8").pack(array) == (2).to_bytes(8, "little") + bytes([3, 21]) + _floats(1.0, -1.0)


def _ints(*numbers: int) -> bytes:
    return np.array(numbers, "<i4").tobytes()


def _floats(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def test_a_gap_of_255_zeros_needs_a_byte_more() -> None:
    for zeros, stream in ((254, [254]), (255, [255, 0]), (510, [255, 255, 0])):
        assert _bits.gaps(np.array([zeros])).tolist() == stream
        assert _bits.positions(np.array(stream, np.uint8)).tolist() == [zeros]


def test_an_unknown_format_is_told() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'bitmask'"):
        packing.load("bitmsk")


def test_a_format_that_needs_a_library_says_which(monkeypatch: pytest.MonkeyPatch, mlp: Checkpoint) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"zstandard.*edgebench\[pack\]"):
        packing.require("zstd")
    packing.require("gap8")
    assert "zstd" not in [one.format for one in pack.sizes(mlp.path)], "left out where nobody asked for it"


# ------------------------------------------------------------------ Huffman


@given(st.lists(st.integers(0, 255), max_size=3000))
@settings(deadline=None, max_examples=50)
def test_symbols_come_back(symbols: list[int]) -> None:
    stream = np.array(symbols, np.uint8)
    assert np.array_equal(_canonical.decode(_canonical.encode(stream)), stream)


@given(st.lists(st.integers(0, 10**9), min_size=256, max_size=256))
@settings(max_examples=30, deadline=None)
def test_codes_are_a_full_tree(counts: list[int]) -> None:
    """Kraft: the shares of all codes add up to one, so that every stream of bits is one stream of symbols."""
    lengths = _canonical.code_lengths(counts)
    used = [int(length) for length, count in zip(lengths, counts, strict=True) if count]
    assert all((length > 0) == (count > 0) for length, count in zip(lengths, counts, strict=True))
    if len(used) > 1:
        assert sum(2.0**-length for length in used) == 1


def test_codes_of_very_rare_symbols_fit_the_table() -> None:
    """Counts like Fibonacci's numbers make the longest codes that there are: 39 bits here, before they are limited."""
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    lengths = _canonical.code_lengths(counts + [0] * 216)
    assert 0 < max(lengths) <= _canonical.LONGEST
    stream = np.repeat(np.arange(24), np.array(counts[:24])).astype(np.uint8)
    assert np.array_equal(_canonical.decode(_canonical.encode(stream)), stream)


def test_the_code_is_as_short_as_the_entropy_allows() -> None:
    """At most one bit more for each symbol (and a good deal less in practice)."""
    random = np.random.default_rng(1)
    stream = np.minimum(random.geometric(0.3, 200_000), 255).astype(np.uint8)
    shares = np.bincount(stream) / len(stream)
    entropy_bytes = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() * len(stream) / 8
    packed = len(_canonical.encode(stream))
    assert entropy_bytes < packed < 1.03 * entropy_bytes


# ------------------------------------------------------------------ shared weights


def test_shared_weights_are_few_and_zeros_stay() -> None:
    random = np.random.default_rng(2)
    array = random.normal(size=(60, 50)).astype(np.float32)
    array[random.random(array.shape) < 0.5] = 0
    for bits in (1, 3, 5):
        shared = weight_sharing.share(array, bits)
        assert np.array_equal(shared == 0, array == 0)
        assert len(np.unique(shared[shared != 0])) <= 2**bits
    assert np.array_equal(weight_sharing.share(np.zeros((3, 3), np.float32), 4), np.zeros((3, 3)))
    few = np.array([[0.0, 1.0, -2.0, 1.0]], np.float32)
    assert np.array_equal(weight_sharing.share(few, 2), few), "what fits is left as it is"


def test_shared_weights_are_the_nearest_of_the_best_values() -> None:
    """k-means: every weight has the nearest value, and every value is the mean of its weights."""
    array = np.random.default_rng(3).normal(size=500).astype(np.float32)
    shared = weight_sharing.share(array, 3)
    found = np.unique(shared)
    nearest = found[np.abs(array[:, None] - found).argmin(1)]
    assert np.mean(nearest != shared) < 0.01
    for value in found:
        assert value == pytest.approx(array[shared == value].mean(), abs=0.02)


# ------------------------------------------------------------------ checkpoints


def save(name: str, path: Path, method: str = "", ratio: float = 0.5) -> Checkpoint:
    """An untrained network as a checkpoint, pruned if a method is named."""
    torch.manual_seed(0)
    network = models.build(name, GREY, 10)
    if method:
        pruning.apply(method, network, ratio, GREY)
    images = data.load("fashion-mnist-mini")
    about = checkpoint.Metadata(
        model=name,
        dataset="fashion-mnist-mini",
        input_shape=GREY,
        class_names=images.class_names,
        preprocessing=images.preprocessing,
        size=models.count(network, GREY),
        metrics=checkpoint.Metrics(accuracy=0.1, loss=2.3, test_images=2000),
    )
    return checkpoint.save(network, about, path)


@pytest.fixture
def mlp(tmp_path: Path) -> Checkpoint:
    return save("mlp-small", tmp_path / "mlp.safetensors", "l1-uniform")


def test_what_study_003_would_have_saved() -> None:
    """In docs/studies.md, approx-compression: the packed weights of stock ResNet18; 44.7 MB of them are dense."""
    torch.manual_seed(0)
    network = models.build("resnet18", COLOUR, 10)
    weights = [weight.detach().numpy() for weight in network.parameters() if weight.ndim > 1]
    found: dict[float, dict[str, float]] = {}
    for ratio in (0.3, 0.5, 0.7):
        pruning.apply("l1-global", network, ratio, COLOUR)
        found[ratio] = {
            name: round(sum(len(packing.load(name).pack(weight)) for weight in weights) / 1e6, 1)
            for name in ("bitmask", "csr", "gap8")
        }
    assert round(sum(weight.nbytes for weight in weights) / 1e6, 1) == 44.7
    assert found == {
        0.3: {"bitmask": 32.7, "csr": 62.6, "gap8": 39.1},
        0.5: {"bitmask": 23.7, "csr": 44.7, "gap8": 27.9},
        0.7: {"bitmask": 14.8, "csr": 26.8, "gap8": 16.8},
    }


def test_every_format_of_a_checkpoint(mlp: Checkpoint) -> None:
    found = {one.format: one for one in pack.sizes(mlp.path)}
    assert list(found) == ["dense", *packing.names()]
    assert (found["dense"].weights_bytes, found["dense"].file_bytes) == (4 * 12_960, mlp.path.stat().st_size)
    assert found["bitmask"].weights_bytes == 4 * 6480 + 12_960 // 8
    assert found["gap8"].weights_bytes == 5 * 6480 + 3 * 8
    assert found["huffman"].file_bytes < found["gap8"].file_bytes < found["csr"].file_bytes
    overhead = {one.file_bytes - one.weights_bytes for name, one in found.items() if name != "dense"}
    assert max(overhead) - min(overhead) <= 4, "all but the weights is the same, and the format's name"
    assert {one.accuracy for one in found.values()} == {None}


@every_format
def test_a_packed_file_gives_the_checkpoint_back(mlp: Checkpoint, name: str) -> None:
    folder = mlp.path.parent
    packed = pack.pack(mlp.path, folder / f"{name}.edgepack", name)
    (line,) = [one for one in pack.sizes(mlp.path, [name]) if one.format == name]
    assert packed.stat().st_size == line.file_bytes
    again = pack.unpack(packed, folder / "again")
    assert again.path == folder / "again" / f"{name}.safetensors" and again.digest == mlp.digest
    assert again.path.read_bytes() == mlp.path.read_bytes()


def test_normalisations_and_counters_come_back_too(tmp_path: Path) -> None:
    """Arrays of one dimension and integers are no weights."""
    made = save("ultralight-gap", tmp_path / "gap.safetensors", "l1-global")
    assert any(tensor.dtype == torch.int64 for tensor in made.tensors().values())
    again = pack.unpack(pack.pack(made.path, tmp_path / "gap.edgepack"), tmp_path / "again.safetensors")
    assert again.path.read_bytes() == made.path.read_bytes()


def test_shared_weights_are_one_more_line_with_their_accuracy(mlp: Checkpoint) -> None:
    *lossless, shared = pack.sizes(mlp.path, ["huffman"], shared_bits=4)
    assert shared.format == "shared 4-bit" and shared.file_bytes < lossless[-1].file_bytes / 2
    network = rebuild(mlp)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.from_numpy(weight_sharing.share(weight.numpy(), 4)))
    images = data.load("fashion-mnist-mini")
    assert shared.accuracy == training.evaluate(network, images.test, images.preprocessing).accuracy


def test_a_format_that_loses_something_is_a_bug(mlp: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    bitmask = packing.load("bitmask")
    real = bitmask.unpack
    monkeypatch.setattr(bitmask, "unpack", lambda packed, shape: np.abs(real(packed, shape)))
    with pytest.raises(RuntimeError, match="bitmask is not lossless"):
        pack.sizes(mlp.path, ["bitmask"])
    with pytest.raises(RuntimeError, match="bitmask is not lossless"):
        pack.pack(mlp.path, mlp.path.with_name("x.edgepack"), "bitmask")
    assert not mlp.path.with_name("x.edgepack").exists()


@every_format
def test_a_damaged_packed_file_is_a_bad_file(mlp: Checkpoint, name: str) -> None:
    """Bits flipped everywhere, and every kind of end: an error of ours or the checkpoint itself, never another one."""
    folder = mlp.path.parent
    path = pack.pack(mlp.path, folder / "good.edgepack", name)
    good = path.read_bytes()
    random = np.random.default_rng(4)
    places = [*range(0, 60, 3), *random.integers(60, len(good), 20).tolist()]
    damaged = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in places]
    damaged += [good[:length] for length in (0, 7, 8, 20, 500, len(good) // 2, len(good) - 1)]
    for content in [*damaged, good + b"\0", mlp.path.read_bytes()]:
        path.write_bytes(content)
        try:
            again = pack.unpack(path, folder / "out.safetensors")
        except UserError:
            assert not (folder / "out.safetensors").exists()
        else:  # padding bits of a code mean nothing
            assert again.digest == mlp.digest
            again.path.unlink()


def test_a_claim_of_any_size_is_refused(mlp: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack.pack(mlp.path, mlp.path.with_name("big.edgepack"), "bitmask")
    monkeypatch.setattr(packed_file, "LARGEST_BYTES", 50_000)
    with pytest.raises(BadFile, match="larger than 50,000 bytes"):
        pack.unpack(path)


def test_arrays_of_less_than_no_bytes_are_refused(mlp: Checkpoint) -> None:
    """They would pay for the claims of others."""
    path = pack.pack(mlp.path, mlp.path.with_name("odd.edgepack"), "bitmask")
    content = path.read_bytes()
    odd = content.replace(b'"shape":[16],"data_offsets":[0,64]', b'"shape":[16],"data_offsets":[64,0]', 1)
    assert odd != content
    path.write_bytes(odd)
    with pytest.raises(BadFile, match="has -64 bytes"):
        pack.unpack(path)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda path: pack.sizes(path, ["bitmsk"]), "Did you mean 'bitmask'"),
        (lambda path: pack.sizes(path, shared_bits=9), "--bits: 9 is not between 1 and 8"),
        (lambda path: pack.sizes(path.with_name("nothing.safetensors")), "cannot be read"),
        (lambda path: pack.pack(path, path.with_name("x"), "gap"), "Did you mean 'gap8'"),
        (lambda path: pack.pack(path, path / "x.edgepack"), "cannot be written"),
        (lambda path: pack.unpack(path), "not a packed checkpoint"),
        (lambda path: pack.unpack(path.with_name("nothing.edgepack")), "cannot be read"),
    ],
)
def test_bad_arguments_are_told(mlp: Checkpoint, call: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        call(mlp.path)


# ------------------------------------------------------------------ as typed


def test_the_program_packs_and_unpacks(mlp: Checkpoint) -> None:
    folder = mlp.path.parent
    table = run_cli("pack", "mlp.safetensors", "--bits", "4", cwd=folder)
    assert table.returncode == 0, table.stderr
    assert max(map(len, table.stdout.splitlines())) <= 80
    for name in ("dense", *packing.names(), "shared 4-bit"):
        assert any(line.startswith(name) for line in table.stdout.splitlines()), name
    for typed in (
        "pack mlp.safetensors --format gap8 --out mlp.edgepack",
        "pack mlp.edgepack --unpack --out b.safetensors",
    ):
        done = run_cli(*typed.split(), cwd=folder)
        assert done.returncode == 0, done.stderr
    assert (folder / "b.safetensors").read_bytes() == mlp.path.read_bytes()
    lossy = run_cli("pack", "mlp.safetensors", "--bits", "4", "--out", "x.edgepack", cwd=folder)
    assert lossy.returncode == 1 and "never written" in " ".join(lossy.stderr.split())


def test_packing_needs_neither_torch_nor_safetensors(mlp: Checkpoint) -> None:
    script = (
        "import sys; from pathlib import Path; from edgebench import pack\n"
        f"pack.sizes(Path({str(mlp.path)!r}))\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'safetensors')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
