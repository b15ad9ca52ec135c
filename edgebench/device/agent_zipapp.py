"""The agent as one file: what is sent to a device that has only python3."""

from __future__ import annotations

import ast
import io
import tokenize
import zipfile
from functools import cache
from pathlib import Path

import device_agents

PACKAGE = "edgebench_agent"
_MAIN = f"import runpy\nrunpy.run_module('{PACKAGE}', run_name='__main__', alter_sys=True)\n"
_EPOCH = (2020, 1, 1, 0, 0, 0)


@cache
def build_zipapp() -> bytes:
    """The same bytes for the same sources, so that its hash is its version."""
    source = Path(device_agents.__file__).parent / "python"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN, zipfile.ZIP_DEFLATED)
        for path in sorted(source.rglob("*.py")):
            name = f"{PACKAGE}/{path.relative_to(source).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), without_docstrings(path.read_text()), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def without_docstrings(source: str) -> str:
    """Nor comments: nobody reads them on a device, and they are a third of the bytes. All else keeps its line:
    tracebacks hold.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) or ast.get_docstring(node) is None:
            continue
        text = node.body[0]
        assert text.end_lineno is not None
        lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
        if len(node.body) == 1:
            lines[text.lineno - 1] = " " * text.col_offset + "pass"
    return "\n".join(lines) + "\n"
