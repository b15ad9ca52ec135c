"""The networks through `edgebench export`, as a user would: one command for four files, given inputs of the network."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.strange_networks import judging
from benchmarks.strange_networks.kinds import Network
from benchmarks.strange_networks.outcome import Outcome
from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.modelfile.feeding import InputRequest
from edgebench.schema.bundle import Bundle

ROUTES = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
GIVEN, FRESH = 48, 24


def outcomes(network: Network, folder: Path) -> Iterator[Outcome]:
    """One for each route. Judged on other samples than those that `export` is given."""
    source, names = _source(network, folder)
    _save(folder / "inputs.npz", network, names)
    options = ExportOptions(formats=ROUTES, wanted=_wanted(network, names), inputs=folder / "inputs.npz")
    try:
        exported = export(source, options, out=folder / "bundle")
    except UserError as refusal:
        yield from (Outcome(network.name, route, "refused", f"{refusal.seen}. {refusal.remedy}") for route in ROUTES)
        return
    except Exception as error:  # what this table counts
        traceback.print_exc()
        yield from (Outcome(network.name, route, "traceback", f"{type(error).__name__}: {error}") for route in ROUTES)
        return
    samples = network.samples(FRESH, seed=1)
    wanted = network.own_answers(folder, samples)
    for route in ROUTES:
        yield _judged(network, route, exported.path, exported.bundle, samples, wanted)


def _judged(network: Network, route: str, folder: Path, bundle: Bundle, samples: Any, wanted: Any) -> Outcome:
    refused = next((one for one in bundle.failed if one.format == route), None)
    if refused is not None:
        return Outcome(network.name, route, "refused", refused.reason)
    artifact = next(one for one in bundle.artifacts if one.name.endswith(route))
    try:
        words = judging.judged(folder / artifact.content.file, network, samples, wanted, route.rpartition("-")[2])
    except Exception as error:  # a file that was delivered and is not right, or does not run
        return Outcome(network.name, route, "wrong", f"{type(error).__name__}: {error}")
    return Outcome(network.name, route, "right", words)


def _source(network: Network, folder: Path) -> tuple[str, list[str]]:
    """What `export` is given, and the names of its inputs."""
    if network.is_file:
        import onnx

        path = network.write(folder / "network.onnx")
        model = onnx.load(str(path), load_external_data=False)
        held = {tensor.name for tensor in model.graph.initializer}
        return str(path), [port.name for port in model.graph.input if port.name not in held]
    parameters = inspect.signature(network.network().forward).parameters
    return network.callable, list(parameters)[: len(network.inputs)]


def _save(path: Path, network: Network, names: list[str]) -> None:
    columns = zip(*network.samples(GIVEN, seed=2), strict=True)
    with path.open("wb") as stream:
        np.savez(stream, **{name: np.stack(values) for name, values in zip(names, columns, strict=True)})


def _wanted(network: Network, names: list[str]) -> InputRequest:
    if network.is_file and not network.open_sizes:
        return InputRequest()
    keys = [""] if len(names) == 1 else names
    ports = dict(zip(keys, network.inputs, strict=True))
    dtypes = {} if network.is_file else {name: port.dtype for name, port in ports.items()}
    return InputRequest(shapes={name: port.shape for name, port in ports.items()}, dtypes=dtypes)
