"""Damaged and made-up files, given to everything that reads files of others.

    python -m tests.support.fuzzing --inputs 100000     the whole number, with counts, seconds and memory

Whatever a file holds, a reader gives what it was asked for or says in one UserError why not. The tests run a share.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import resource
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support import damage

# Examples of one run of hypothesis, which remembers all of them; each piece begins with another seed.
PIECE = 1000
# An input that takes longer than this is a hang.
HANG_S = 60

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ODD = [
    b"",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"schema_version":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"schema_version": 1' + b"0" * 400 + b"}",
    b'{"schema_version": ' + b"9" * 5000 + b"}",
    b'{"schema_version": 1e400}',
    b'{"schema_version": NaN}',
    b'{"schema_version": -Infinity}',
    b'{"schema_version": 3, "schema_version": -1}',
    b'{"schema_version": 1, "artifact": {}, "job": "\xff"}',
    b"\xef\xbb\xbf" + b'{"schema_version": 1}',
    b"\x00" * 4096,
    b'{"schema_version": 1, "id": "\\u0000\\u001b[2J"}',
    b'"' + b"x" * 1_000_000 + b'"',
]


@dataclass(frozen=True)
class Reader:
    """read(folder, data): put the data where the reader looks for it, and read it. files: what damage begins with."""

    name: str
    read: Callable[[Path, bytes], None]
    files: st.SearchStrategy[bytes]


@dataclass
class Count:
    inputs: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    slowest: bytes = b""
    seconds: float = 0.0
    rss_mib: list[float] = field(default_factory=list)


def run(reader: Reader, inputs: int, first_seed: int = 0) -> Count:
    """Raises any error of a reader but UserError, with the input that caused it."""
    count = Count()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgebench-fuzz-") as folder:
        for piece in range(-(-inputs // PIECE)):
            _piece(reader, min(PIECE, inputs - piece * PIECE), first_seed + piece, Path(folder), count)
            count.rss_mib.append(_rss_mib())
    count.seconds = time.monotonic() - started
    return count


def _piece(reader: Reader, examples: int, number: int, folder: Path, count: Count) -> None:
    from edgebench.errors import UserError

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.files)
    def one(data: bytes) -> None:
        count.inputs += 1
        began = time.monotonic()
        signal.alarm(HANG_S)
        try:
            reader.read(folder, data)
        except UserError:
            count.refused += 1
        finally:
            signal.alarm(0)
        spent = time.monotonic() - began
        if spent > count.slowest_s:
            count.slowest_s, count.slowest = spent, data[:200]

    one()


def _rss_mib() -> float:
    """Now, not the most so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


# ------------------------------------------------------------------ what damage begins with


def of_json(trees: list[Any], plain: list[bytes]) -> st.SearchStrategy[bytes]:
    """A node of a tree replaced, bytes of a file broken, any JSON, any bytes, and what breaks parsers."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        tree = draw(st.sampled_from(trees))
        path = draw(st.sampled_from(_paths(tree)))
        value = draw(st.sampled_from(list(damage.replacements(damage.at(tree, path)))))
        return damage.encoded(damage.replaced(tree, path, value))

    return st.one_of(
        damaged(),
        damaged(),
        damaged(),
        broken(plain),
        _JSON.map(lambda tree: json.dumps({"schema_version": 1, "artifact": tree, "job": ""}).encode()),
        st.binary(max_size=200),
        st.sampled_from(_ODD),
    )


def broken(files: list[bytes]) -> st.SearchStrategy[bytes]:
    chances = st.integers(0, 2**48)
    return st.builds(lambda data, chance: damage.broken(data, random.Random(chance)), st.sampled_from(files), chances)


_KNOWN_PATHS: dict[int, list[tuple[Any, ...]]] = {}


def _paths(tree: Any) -> list[tuple[Any, ...]]:
    """Kept for as long as the tree, which its strategy keeps."""
    if id(tree) not in _KNOWN_PATHS:
        _KNOWN_PATHS[id(tree)] = list(damage.paths(tree))
    return _KNOWN_PATHS[id(tree)]


# ------------------------------------------------------------------ the readers


def records(render_one_in: int, html_one_in: int) -> Reader:
    """What loads is compared with whole records, and rendered: this takes a hundred times longer than loading."""
    from edgebench.schema import record_files
    from tests.support import whole_records

    trees = list(whole_records.trees().values())
    others = [whole_records.whole(), whole_records.whole(target="elsewhere", job="job-2"), whole_records.sustained()]
    loaded = iter(range(1, 10**9))

    def read(folder: Path, data: bytes) -> None:
        path = folder / "record.json"
        path.write_bytes(data)
        one = record_files.load(path)
        number = next(loaded)
        if number % render_one_in == 0:
            show([one, *others], html=number % html_one_in == 0)
            show([others[0], one], html=False)

    return Reader("record", read, of_json(trees, [json.dumps(tree).encode() for tree in trees]))


def show(compared: list[Any], *, html: bool) -> None:
    """In every form that a comparison has."""
    from rich.console import Console

    from edgebench import compare, plugins
    from edgebench.analysis import terminal_report

    comparison = compare.compare(compared, terms=compare.Terms(intensity_g_per_kwh=50.0))
    terminal_report.show(comparison, Console(file=io.StringIO(), width=80), verbose=html)
    for form in ("csv", "markdown", "html")[: 3 if html else 2]:
        plugins.load("edgebench.analysis.report", form, kind="report").render(comparison)


def bundles() -> Reader:
    from edgebench.schema import bundle
    from tests.conftest import make_relu_bundle

    with tempfile.TemporaryDirectory() as folder:
        made = make_relu_bundle(Path(folder) / "relu", expected=[0.0, 1.0, 2.0])
        files = {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    data = files.pop(Path("bundle.json"))

    def read(folder: Path, data: bytes) -> None:
        for path, content in files.items():
            if not (folder / path).exists():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes(content)
        (folder / "bundle.json").write_bytes(data)
        bundle.load(folder)

    return Reader("bundle", read, of_json([json.loads(data)], [data]))


def checkpoints() -> Reader:
    """Damage that the digest shows, and damage that was signed again: so that what lies behind it is reached."""
    from edgebench.networks.from_checkpoint import rebuild
    from edgebench.schema import checkpoint
    from tests.support import tiny_checkpoints

    with tempfile.TemporaryDirectory() as folder:
        raw = tiny_checkpoints.make(Path(folder)).path.read_bytes()
    header, tensors = split(raw)
    about = json.loads(header["__metadata__"]["edgebench"])

    def read(folder: Path, data: bytes) -> None:
        path = folder / "net.safetensors"
        path.write_bytes(data)
        rebuild(checkpoint.load(path))

    @st.composite
    def signed_again(draw: st.DrawFn) -> bytes:
        kind = draw(st.sampled_from(["about", "header", "tensors", "length", "overlap"]))
        head, body, size = header, tensors, None
        if kind == "about":
            path = draw(st.sampled_from(_paths(about)))
            value = draw(st.sampled_from(list(damage.replacements(damage.at(about, path)))))
            text = damage.encoded(damage.replaced(about, path, value)).decode()
            head = {**header, "__metadata__": {**header["__metadata__"], "edgebench": text}}
        elif kind == "header":
            path = draw(st.sampled_from(_paths(header)))
            value = draw(st.sampled_from(list(damage.replacements(damage.at(header, path)))))
            head = damage.replaced(header, path, value)
        elif kind == "tensors":
            body = damage.broken(tensors, random.Random(draw(st.integers(0, 2**48))))
        elif kind == "length":
            size = draw(st.sampled_from([0, 1, 7, 2**31, 2**53, 2**63, 2**64 - 1]) | st.integers(0, len(raw)))
        else:
            names = [name for name in header if name != "__metadata__"]
            first, second = draw(st.sampled_from(names)), draw(st.sampled_from(names))
            ends = draw(st.lists(st.integers(-8, len(tensors) + 8), min_size=2, max_size=2))
            head = {**header, first: {**header[second], "data_offsets": ends}}
        return joined(head, body, size)

    return Reader(
        "checkpoint",
        read,
        st.one_of(signed_again(), signed_again(), broken([raw]), st.binary(max_size=200), st.sampled_from(_ODD)),
    )


def split(raw: bytes) -> tuple[Any, bytes]:
    size = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + size]), raw[8 + size :]


def joined(header: Any, tensors: bytes, size: int | None = None) -> bytes:
    """A safetensors file whose digest is right, whatever else is wrong with it."""
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        header = {**header, "__metadata__": {**header["__metadata__"], "digest": "0" * 64}}
    text = json.dumps(header, separators=(",", ":")).encode()
    raw = struct.pack("<Q", len(text) if size is None else size) + text + tensors
    mark = b'"digest":"' + b"0" * 64
    digest = hashlib.sha256(raw).hexdigest().encode()
    return raw.replace(mark, b'"digest":"' + digest, 1)


def emissions_tables() -> Reader:
    from edgebench.energy import codecarbon_table
    from edgebench.studies import audit
    from edgebench.studies.audit import AuditEvidence
    from tests.support.audit_cases import DATA

    files = [(DATA / name).read_bytes() for name in ("emissions.csv", "emissions_corrected.csv")]

    def read(folder: Path, data: bytes) -> None:
        path = folder / "emissions.csv"
        path.write_bytes(data)
        table = codecarbon_table.load(path)
        for run in table.runs:
            assert run.energy_j > 0 and run.intensity_g_per_kwh >= 0 and run.where
        for finding in audit.audit(AuditEvidence(emissions=table.runs), _OF_TABLES):
            assert str(finding)

    @st.composite
    def cells(draw: st.DrawFn) -> bytes:
        rows = list(csv.reader(io.StringIO(draw(st.sampled_from(files)).decode())))
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.sampled_from(rows))
            place = draw(st.integers(0, len(row) - 1))
            row[place] = draw(st.sampled_from(_CELLS) | st.text(max_size=10))
        text = io.StringIO()
        csv.writer(text).writerows(rows * draw(st.integers(1, 2)))
        return text.getvalue().encode("utf-8", "surrogatepass")

    return Reader("emissions", read, st.one_of(cells(), cells(), broken(files), st.binary(max_size=200)))


# The detectors that look at such tables.
_OF_TABLES = ("co2-arithmetic", "different-regions", "last-sample-power", "modelled-energy")
_CELLS = [
    "", "0", "-0", "-1", "nan", "inf", "1e400", "1e308", "5e-324", "1_000", "0x10", "1,5", "42.5", "\x1b[31m", '"',
    "\0", "3.2.0", "2.8.3", "dev", "x" * 200_000, "1" + "0" * 400, " 1 ", "١", "1e15", "1e-30",
]  # fmt: skip


def annotations() -> Reader:
    from edgebench.networks.own_data import annotated
    from edgebench.progress import Silent
    from tests.support import detectors

    with tempfile.TemporaryDirectory() as folder:
        data = detectors.coco(Path(folder) / "made", 2).read_bytes()
        picture = (Path(folder) / "made/images/0.png").read_bytes()

    def read(folder: Path, data: bytes) -> None:
        (folder / "images").mkdir(exist_ok=True)
        for number in range(2):
            (folder / "images" / f"{number}.png").write_bytes(picture)
        (folder / "val.json").write_bytes(data)
        annotated.load(str(folder / "val.json"), None, 3, Silent())

    return Reader("annotations", read, of_json([json.loads(data)], [data]))


def all_readers(render_one_in: int = 1, html_one_in: int = 50) -> Iterator[Reader]:
    yield records(render_one_in, html_one_in)
    yield bundles()
    yield checkpoints()
    yield emissions_tables()
    yield annotations()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="for all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one reader")
    asked = parser.parse_args()
    chosen = [reader for reader in all_readers(20, 1000) if asked.only in ("", reader.name)]
    for reader in chosen:
        count = run(reader, asked.inputs // len(chosen), asked.seed)
        first, last = count.rss_mib[min(4, len(count.rss_mib) - 1)], count.rss_mib[-1]
        line = f"{reader.name:12} {count.inputs:7} inputs: {count.refused} refused, {count.inputs - count.refused} read"
        line += f"; {count.seconds:.0f} s, the slowest {count.slowest_s:.2f} s"
        print(f"{line}; {first:.0f} MiB after {PIECE * 5}, {last:.0f} MiB at the end", flush=True)


if __name__ == "__main__":
    main()
