"""The messages to and from a worker process, each a line of JSON."""

from __future__ import annotations

import msgspec

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.inspection import Looked
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConvertedFile
from exporters.sources.model_summary import ModelSummary


class RunTask(msgspec.Struct, frozen=True):
    """Load `artifact` and run it on samples.

    images: a file of `arithmetic.feeds`; "" if the artifact is only to be loaded. answers: .npz to write, for each
    output x0, x1, ...: [N, ...], float32 or int64. network: the inputs of the network that it came from, which name the
    arrays of a file without images. fed: how its inputs are fed where it leaves sizes open; () as it says. folded: the
    artifact takes the images as they are. any_batch: it must give the same answers to several images at once as to one
    after the other. itself: indices of images that the artifact itself answers in any case, one by one. one_by_one: all
    images are answered that way.
    """

    artifact: str
    images: str = ""
    preprocessing: Preprocessing | None = None
    answers: str = ""
    folded: bool = False
    any_batch: bool = False
    fed: tuple[TensorSpec, ...] = ()
    network: tuple[TensorSpec, ...] = ()
    itself: tuple[int, ...] = ()
    one_by_one: bool = False


class RunResult(msgspec.Struct, frozen=True):
    """repeat_error: relative difference between two runs over the first samples, of the worst output."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    repeat_error: float = 0.0


class FoldTask(msgspec.Struct, frozen=True):
    """Put the preprocessing into a file."""

    artifact: str
    out: str
    preprocessing: Preprocessing


class InspectTask(msgspec.Struct, frozen=True):
    """Check an .onnx source. shapes: its inputs' sizes where it leaves some open.

    sized: where to write the .onnx file with these sizes.
    """

    artifact: str
    shapes: dict[str, tuple[int, ...]]
    sized: str


class RaceTask(msgspec.Struct, frozen=True):
    """Time these files against one another, for about this many seconds each."""

    artifacts: tuple[str, ...]
    seconds: float


class TaskFailure(msgspec.Struct, frozen=True):
    """user: where, seen and remedy are those of a UserError; otherwise `seen` is the exception's text."""

    user: bool
    where: str
    seen: str
    remedy: str


class WorkerReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a reply: exactly one of these is set."""

    made: ConvertedFile | None = None
    ran: RunResult | None = None
    summary: ModelSummary | None = None
    folded: str = ""
    looked: Looked | None = None
    latencies_s: tuple[float, ...] = ()
    failed: TaskFailure | None = None
    done: bool = False
