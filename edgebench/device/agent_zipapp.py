"""The agent as one file, for devices that have only python3."""

from __future__ import annotations

import ast
import io
import tokenize
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import device_agents
from edgebench.device import own_runtimes

PACKAGE = "agent"
_MAIN = f"import runpy\nrunpy.run_module('{PACKAGE}', run_name='__main__', alter_sys=True)\n"
_EPOCH = (2020, 1, 1, 0, 0, 0)


def build_zipapp() -> bytes:
    """The same bytes for the same sources, so that the hash serves as version."""
    return _built(tuple(own_runtimes.files()))


@cache
def _built(further: tuple[Path, ...]) -> bytes:
    """further: a user's own runtimes."""
    source = Path(device_agents.__file__).parent / "python"
    files = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*.py"))}
    files |= {f"runtimes/{path.name}": path for path in further}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN, zipfile.ZIP_DEFLATED)
        for name, path in files.items():
            entry = zipfile.ZipInfo(f"{PACKAGE}/{name}", _EPOCH)
            archive.writestr(entry, as_sent(path.read_text()), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def as_sent(source: str) -> str:
    """Without comments, docstrings and types: nobody reads them on a device, and they are half of the bytes. Line
    numbers stay the same, for tracebacks.
    """
    lines = [line.encode() for line in source.splitlines()]
    for (first, start), (last, end), left in sorted(_cuts(source), reverse=True):
        rest = lines[last - 1][end:]
        lines[first:last] = [b""] * (last - first)
        lines[first - 1] = (lines[first - 1][:start] + left + (rest if first == last else b"")).rstrip()
        if first != last:
            lines[last - 1] = rest.rstrip()
    return b"\n".join(lines).decode() + "\n"


Place = tuple[int, int]  # line from 1, byte in it
Cut = tuple[Place, Place, bytes]


def _cuts(source: str) -> Iterator[Cut]:
    """What is taken out, from where to where, and what stands there instead. They do not overlap."""
    tree = ast.parse(source)
    skipped = {id(node) for block in ast.walk(tree) if _is_for_types(block) for node in ast.walk(block)}
    fields = {id(node) for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef) for node in owner.body}
    has_fields = False
    for node in ast.walk(tree):
        if _is_for_types(node):
            yield _start(node), _end(node), b""
        if id(node) in skipped:
            continue
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            text = node.body[0]
            yield _start(text), _end(text), b"pass" if len(node.body) == 1 else b""
        if isinstance(node, ast.arg) and node.annotation:
            yield (node.lineno, node.col_offset + len(node.arg.encode())), _end(node.annotation), b""
        if isinstance(node, ast.FunctionDef) and node.returns:
            line, start = _start(node.returns)
            yield (line, source.splitlines()[line - 1].encode().rindex(b" ->", 0, start)), _end(node.returns), b""
        if isinstance(node, ast.AnnAssign) and id(node) not in fields:
            yield _end(node.target) if node.value else _start(node), _end(node.annotation), b""
        has_fields |= isinstance(node, ast.AnnAssign) and id(node) in fields
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and not has_fields:
            yield _start(node), _end(node), b""
    blocks = [(node.lineno, node.end_lineno or 0) for node in ast.walk(tree) if _is_for_types(node)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, column = token.start
        if token.type == tokenize.COMMENT and not any(first <= line <= last for first, last in blocks):
            start = len(token.line[:column].encode())
            yield (line, start), (line, start + len(token.string.encode())), b""


def _is_for_types(node: ast.AST) -> TypeGuard[ast.stmt]:
    """`TYPE_CHECKING = False`, and what stands behind `if TYPE_CHECKING`."""
    name = node.targets[0] if isinstance(node, ast.Assign) else node.test if isinstance(node, ast.If) else None
    return isinstance(name, ast.Name) and name.id == "TYPE_CHECKING"


def _start(node: ast.stmt | ast.expr) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.stmt | ast.expr) -> Place:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset
