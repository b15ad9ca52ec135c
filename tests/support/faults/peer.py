"""A hostile agent: a program that answers in the agent's place, by a script.

The script is Python. It finds: hello(**changes), ask() (the next request), answer(value), raw(bytes),
for_ever(bytes), sleep(seconds), until(request), at_work(*did).
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from device_agents.python import PROTOCOL

_PRELUDE = (
    f"PROTOCOL = {PROTOCOL}"
    + """
import json, os, select, sys, time
out = os.fdopen(os.dup(1), "wb", 1 << 16)
def raw(data):
    out.write(data)
    out.flush()
def hello(**changes):
    said = {"hello": PROTOCOL, "python": "3.11.2", "pid": os.getpid(), "root": "/r", **changes}
    raw(json.dumps(said).encode() + b"\\n")
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
    # Until the other side is gone, but not forever.
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([0], [], [], 0.2)[0] and not os.read(0, 65536):
            sys.exit()
METER = b'{"n":%d,"t_ns":1,"event":"meter","meter":"rapl","reason":"none here"}\\n'
FACTS = {"kernel": "6.1", "machine": "armv6l", "python": "3.11.2", "libc": "glibc 2.36"}
def until(what, has=True):
    # As a board that has all, or nothing: the first request of that name is the hostile part's.
    while True:
        request = ask()
        do = request["do"]
        if do == what:
            return request
        if do == "facts":
            answer(FACTS)
        elif do == "runtimes":
            found = {"folder": "", "facts": {"version": "1"}} if has else {"problem": "it is not here"}
            answer({name: found for name in request["names"]})
        elif do == "missing":
            answer([])
        elif do == "start":
            answer({"started": True})
        else:
            answer(None)
def until_tail():
    return until("tail")
def at_work(*did, pause=0.1):
    # So much is done, said one after the other; the last for ever.
    for one in did:
        raw(b'{"alive": {"did": %d}}\\n' % one)
        time.sleep(pause)
    while True:
        raw(b'{"alive": {"did": %d}}\\n' % did[-1])
        sleep(pause)
"""
)


def write(folder: Path, script: str) -> Path:
    """A `python` for a target: whatever it is to run, it plays the script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    body = (
        "try:\n" + textwrap.indent(_PRELUDE + textwrap.dedent(script), "    ") + "\nexcept BrokenPipeError:\n    pass\n"
    )
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)
    return path
