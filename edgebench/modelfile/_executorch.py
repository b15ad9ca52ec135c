"""A .pte file of ExecuTorch, read by the code that the runtime reads it with. Programs number what they take."""

from __future__ import annotations

from device_agents.python.runtimes._pte_file import ProgramPort, PteFile
from edgebench.modelfile._bytes import Damaged
from edgebench.modelfile._what import Input, ModelFile


def read(content: memoryview) -> ModelFile:
    """Raises Damaged."""
    try:
        program = PteFile(content)
    except ValueError as error:
        raise Damaged(str(error)) from error
    return ModelFile(
        inputs=tuple(_port("input", place, port) for place, port in enumerate(program.inputs)),
        outputs=tuple(_port("output", place, port) for place, port in enumerate(program.outputs)),
    )


def _port(kind: str, place: int, port: ProgramPort) -> Input:
    return Input(f"{kind} {place}", tuple(port.shape), port.dtype)
