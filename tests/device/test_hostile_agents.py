"""Whatever answers in place of an agent, the result is one error, with little memory and without a long wait."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_agents.python import PROTOCOL
from device_agents.python.runtimes import onnxruntime
from tests.conftest import sha256
from tests.support.faults import peer

MOST_MB = 64
SHORT = ("SILENCE_SAID_S=0.3", "SILENCE_MAX_S=1", "JOURNAL_SILENCE_MAX_S=1", "HELLO_MAX_S=2",
         "STALLED_S=1", "REQUEST_MAX_S=2", "SAY_AGAIN_S=0", "STOPPED_MAX_S=0.5",
         "RECONNECT_S=0.5", "RECONNECT_PAUSE_S=0.1",
         "LOST_IN_A_ROW=1")  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """script: what it does (faults/peer.py). end: the final message. said: one before it."""

    name: str
    script: str
    end: str
    said: str = ""


# The requests that take long, and how to reach them.
LONG = {
    "runtimes": 'until("runtimes")', "missing": 'until("missing")',
    "receive": 'answer(list(until("missing")["blobs"])); until("receive")', "install": 'until("install", has=False)',
}  # fmt: skip
PEERS = (
    Peer("endless first line", "for_ever(b'x' * 65536)", "not an edgebench agent: a line of more than 1 MB"),
    Peer("endless noise", "for_ever(b'welcome\\n' * 8192)", r"64 KB of other output before its hello"),
    Peer("no hello", "sleep(99)", "did not say hello within 2 s", "silent for 0 s (waiting for its hello)"),
    Peer("hello without a version", "raw(b'{\"hello\": 0}\\n'); sleep(99)", "needs Python >= 3.9"),
    Peer("hello of another kind", "raw(b'{\"hello\": [1]}\\n'); sleep(99)", "not an edgebench agent: Expected `int`"),
    Peer("deep hello", "raw(b'{\"hello\":' + b'[' * 100_000 + b'\\n')", "more than 32 levels deep"),
    Peer("endless answer", "hello(); ask(); for_ever(b'1' * 65536)", "answer to 'facts' is not usable"),
    Peer("deep answer", "hello(); ask(); raw(b'{\"ok\":' + b'[' * 100_000 + b']' * 100_000 + b'}\\n'); sleep(9)",
         "levels deep"),
    Peer("no number", "hello(); ask(); raw(b'{\"ok\": {\"temperature_c\": NaN}}\\n'); sleep(9)",
         "NaN, which is not a number"),
    Peer("number without end", "hello(); ask(); raw(b'{\"ok\":{\"cores\": 1' + b'0' * 400 + b'}}\\n'); sleep(9)",
         "more than 64 bits"),
    Peer("float without end", "hello(); ask(); raw(b'{\"ok\":{\"temperature_c\": 1e400}}\\n'); sleep(9)", "not finite"),
    Peer("no object", "hello(); ask(); raw(b'17\\n'); sleep(9)", "neither an answer nor an error"),
    Peer("error without text", "hello(); ask(); raw(b'{\"error\": {}}\\n'); sleep(9)",
         "neither an answer nor an error"),
    Peer("unknown hashes", """
        hello()
        while True:
            request = ask()
            if request["do"] == "missing":
                answer(["0" * 64])
            elif request["do"] == "runtimes":
                answer({name: {} for name in request["names"]})
            else:
                answer({} if request["do"] == "facts" else None)
        """, "it lists files that were not in the request"),
    Peer("runtimes that nobody asked for", """
        hello()
        while True:
            answer({"runtimes": {"evil": {}}, "facts": FACTS}.get(ask()["do"]))
        """, "is not usable"),
    Peer("started by nobody", """
        hello()
        while True:
            request = ask()
            do = request["do"]
            answer({"facts": FACTS, "missing": [], "start": 17}.get(do)
                   if do != "runtimes" else {name: {} for name in request["names"]})
        """, "answer to 'start' is not usable"),
    Peer("endless journal line", "hello(); until_tail(); raw(b'{\"n\":0,'); for_ever(b'1' * 65536)",
         "a line of more than 8 MB"),
    Peer("endless journal", """
        hello()
        until_tail()
        n = 0
        while True:
            raw(b''.join(b'{"n":%d,"t_ns":1,"event":"warm","artifact":0,"stationary":true,"windows":1,"spent_s":1}\\n'
                         % i for i in range(n, n + 1000)))
            n += 1000
        """, "more than measuring can write in that time"),
    Peer("journal of fat lines", """
        hello()
        until_tail()
        n = 0
        while True:
            raw(b'{"n":%d,"t_ns":1,"event":"round","artifact":0,"round":{"number":%d,"block":1,"start_ns":1},'
                b'"values_ns":[%s1]}\\n' % (n, n, b"1," * 1_000_000))
            n += 1
        """, "more than measuring can write in that time"),
    Peer("line numbers that leap", "hello(); until_tail(); raw(METER % 0 + METER % 2); sleep(9)",
         "journal line .*, but 1 is due"),
    Peer("the same line for ever", "hello(); until_tail(); for_ever(METER % 0)",
         "but 1 is due"),
    Peer("deep journal line", """
        hello()
        until_tail()
        raw(b'{"n":0,"t_ns":1,"x":' + b'[' * 100_000 + b']' * 100_000 + b'}\\n')
        sleep(99)
        """, "does not fit the protocol"),
    Peer("a clock beyond all clocks", """
        hello()
        until_tail()
        raw(b'{"n":0,"t_ns":1' + b'0' * 400 + b',"event":"end","status":"done","complete":[]}\\n')
        sleep(99)
        """, "does not fit the protocol"),
    Peer("journal of lists in lists", """
        hello()
        until_tail()
        n = 0
        while True:
            raw(b'{"n":%d,"t_ns":1,"event":"loaded","artifact":0,"loaded":{"runtime":{"name":"x","notes":{"a":[%s[]]}}}}\\n'
                % (n, b"[]," * 20_000))
            n += 1
        """, "more than measuring can write in that time"),
    Peer("values that are none", """
        hello()
        until_tail()
        raw(b'{"n":0,"t_ns":1,"event":"round","artifact":0,"round":{"number":0,"block":1,"start_ns":1},'
            b'"values_ns":[%s]}\\n' % b','.join([b'[]'] * 2_000_000))
        raw(b'{"n":1,"t_ns":1,"event":"end","status":"done","complete":[0]}\\n{"ok":{"tail":"ended"}}\\n')
        while True:
            ask()
            answer({"received_ns": 1, "sent_ns": 2})
        """, "does not fit the protocol .Expected `int`, got `array`"),
    Peer("a job of another protocol", """
        hello()
        until_tail()
        raw(b'{"n":0,"t_ns":1,"event":"job","id":"a","protocol":1,"python":"3.11.2"}\\n')
        sleep(99)
        """, f"speaks protocol 1, not {PROTOCOL}. Finish it with that version"),
    Peer("silence while measuring", "hello(); until_tail(); sleep(99)", "silent for 1 s .waiting for 'tail'",
         "silent for 0 s"),
    Peer("alive and nothing else", "hello(); ask()\nwhile True:\n    raw(b'{\"alive\": {}}\\n')\n    sleep(0.1)",
         "it has worked on that for .* without progress", "still working on 'facts'"),
    Peer("alive in no known way", "hello(); until_tail(); raw(b'{\"alive\": NaN}\\n'); sleep(9)", "not a number"),
    Peer("a tail that is stopped for ever", """
        hello()
        until_tail()
        while True:
            raw(b'{"alive": {"stopped": 7}}\\n')
            sleep(0.1)
        """,
         "process 7 has been stopped", "kill -CONT 7"),
    Peer("neither ends nor speaks", "hello(); ask(); os.close(1); out.detach(); time.sleep(30)",
         "the connection ended"),
    Peer("last words of 300 MB", "hello(); ask(); os.close(0); [os.write(2, b'no\\n' * 9999) for _ in range(9999)]",
         "the connection ended: no"),
    *(Peer(f"working on '{do}' for ever", f"hello(); {so_far}; at_work(0)",
           f"answer to '{do}' is not usable .it has worked on that for .* without progress",
           f"still working on '{do}'") for do, so_far in LONG.items()),
    *(Peer(f"more done of '{do}' than was asked for", f"hello(); {so_far}; at_work(1, 1 << 40)",
           r"it reports 1099511627776 of \d+ done") for do, so_far in LONG.items()),
    *(Peer(f"less done of '{do}' than before", f"hello(); {so_far}; at_work(7, 6)",
           r"it reports 6 of \d+ done, after 7") for do, so_far in LONG.items()),
    Peer("at work in the smallest of steps", "hello(); until('runtimes'); at_work(*range(100))",
         r"it has worked on that for \d+ s, 0% done", "still working on 'runtimes'"),
    Peer("less done than nothing", "hello(); until('missing'); at_work(-1)", "is not usable"),
    Peer("escapes in an error", "hello(); ask(); raw(b'{\"error\": \"\\\\u001b[2Jboo\\\\u202e\"}\\n'); sleep(9)",
         r"the agent says: \u241b\[2Jboo\ufffd"),
    Peer("escapes in last words", "hello(); ask(); os.write(2, b'\\x1b]0;owned\\x07'); sys.exit(3)",
         r"the connection ended: \u241b\]0;owned\u2407"),
)  # fmt: skip


def a_cache(folder: Path) -> Path:
    """With the runtimes that a board with these facts would get."""
    wheels = folder / "wheels/armv6l-py3.11-glibc2.36"
    wheels.mkdir(parents=True)
    for package, rule in onnxruntime.WHEELS.items():
        name = f"{package}-1.{sha256((package + rule).encode())[:8]}.whl"
        with zipfile.ZipFile(wheels / name, "w") as wheel:
            wheel.writestr(f"{package}/__init__.py", "")
    return folder


@pytest.mark.parametrize("hostile", PEERS, ids=lambda one: one.name)
def test_a_hostile_agent_costs_one_sentence(hostile: Peer, models: Path, tmp_path: Path) -> None:
    python = peer.write(tmp_path / "bin", hostile.script)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.support.faults.drive"),
            *(python, models / "relu.onnx", tmp_path / "results", *SHORT),
        ],
        capture_output=True, text=True, timeout=90, cwd=Path(__file__).parents[2],
        env={**os.environ, "EDGEBENCH_CACHE": str(a_cache(tmp_path / "cache"))},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    *said, end = map(json.loads, done.stdout.splitlines())
    print(end)
    assert re.search(hostile.end, end["end"]), end
    assert hostile.said in " ".join(one["said"] for one in said)
    assert end["end"].isprintable() and all(one["said"].isprintable() for one in said)
    assert end["megabytes"] < MOST_MB
