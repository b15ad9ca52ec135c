"""A run that is green because it skipped: under CI a skipped test fails the run, unless its reason is listed here.

And what was really run, counted at the end of the log: a machine without qemu, a browser or adb shows a 0 there.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Any

import pytest

# A pattern of the skip's reason: why a machine may do without.
MAY_BE_SKIPPED = {
    r"the official files of .* are not in \$EDGEBENCH_DATA": "data sets of hundreds of MB that CI does not download",
    r"there is no Python 3\.9 here": "no Debian or PyPI package has it; the agent's syntax is checked on every Python",
    r"this machine is not in a network": "only a machine with an address of its own can offer a page to a phone",
    r"only root may mount a small disk": "a disk that fills up is a file system of a few megabytes",
    r"this system does not let memory be limited": "containers may keep the groups of processes (cgroups) read-only",
    r"this system does not let the mark be reset": "containers may forbid /proc/self/clear_refs",
}
COUNTED = ("board", "phone", "adb", "export")


def _reason(report: Any) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _not_allowed(config: pytest.Config) -> Counter[str]:
    """{reason: tests} of the skips that are not on the list."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    reasons = Counter(_reason(report) for report in reporter.stats.get("skipped", ()))
    return Counter({why: n for why, n in reasons.items() if not any(re.search(one, why) for one in MAY_BE_SKIPPED)})


def _is_ci(config: pytest.Config) -> bool:
    """Not in a worker process of pytest-xdist: the one that started them has all reports."""
    return os.environ.get("CI") == "true" and not hasattr(config, "workerinput")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_ci(session.config) and session.exitstatus == pytest.ExitCode.OK and _not_allowed(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [one for outcome in ("passed", "failed") for one in terminalreporter.stats.get(outcome, ())]
    ran = Counter(group for one in reports if one.when == "call" for group in COUNTED if group in one.keywords)
    if ran or _is_ci(config):
        terminalreporter.section("tests run, by what they need")
        terminalreporter.line(", ".join(f"{group} {ran[group]}" for group in COUNTED))
    if _is_ci(config) and (skipped := _not_allowed(config)):
        terminalreporter.section("skipped, which CI does not accept (tests/support/skips.py)", red=True)
        for why, count in skipped.items():
            terminalreporter.line(f"{count} x {why}")
