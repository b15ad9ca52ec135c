"""A hostile agent: a program that answers in the agent's place, by a script.

The script is Python. It finds: hello(**changes), ask() (the next request), answer(value), raw(bytes), lines(text, n),
for_ever(bytes), sleep(seconds).
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

_PRELUDE = """
import json, os, select, sys, time
out = os.fdopen(os.dup(1), "wb", 1 << 16)
def raw(data):
    out.write(data)
    out.flush()
def hello(**changes):
    raw(json.dumps({"hello": 1, "python": "3.11.2", "pid": os.getpid(), "root": "/r", **changes}).encode() + b"\\n")
def ask():
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit()
    return json.loads(line)
def answer(value):
    raw(json.dumps({"ok": value}).encode() + b"\\n")
def for_ever(piece):
    while True:
        raw(piece)
def sleep(seconds):
    # Until the other side is gone, at most so long.
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([0], [], [], 0.2)[0] and not os.read(0, 65536):
            sys.exit()
FACTS = {"kernel": "6.1", "machine": "armv6l", "python": "3.11.2", "libc": "glibc 2.36"}
def until_tail():
    # As a board that has all: the first tail request is the hostile part's.
    while True:
        request = ask()
        do = request["do"]
        if do == "facts":
            answer(FACTS)
        elif do == "runtimes":
            answer({name: {"folder": "", "facts": {"version": "1"}} for name in request["names"]})
        elif do == "missing":
            answer([])
        elif do == "start":
            answer({"started": True})
        elif do == "tail":
            return request
        else:
            answer(None)
"""


def write(folder: Path, script: str) -> Path:
    """A `python` for a target: whatever it is asked to run, it plays the script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    body = (
        "try:\n" + textwrap.indent(_PRELUDE + textwrap.dedent(script), "    ") + "\nexcept BrokenPipeError:\n    pass\n"
    )
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)
    return path
