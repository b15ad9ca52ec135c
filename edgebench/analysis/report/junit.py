"""Write JUnit XML: one test case for each check of --fail-if and file, for continuous integration."""

from __future__ import annotations

from xml.etree import ElementTree

from edgebench.analysis.comparison import CheckResult, Comparison
from edgebench.files.plain_text import plain


def render(comparison: Comparison) -> str:
    checks = comparison.checks or tuple(_of_row(comparison))
    suite = ElementTree.Element("testsuite", name="edgebench", tests=str(len(checks)), errors="0")
    suite.set("failures", str(sum(one.state == "failed" for one in checks)))
    suite.set("skipped", str(sum(one.state == "not resolved" for one in checks)))
    for one in checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=plain(one.target), name=plain(f"{one.artifact}: {one.expression}")
        )
        if one.state != "passed":
            tag = "failure" if one.state == "failed" else "skipped"
            ElementTree.SubElement(case, tag, message=plain(f"{one.state}: {one.said}"))
        else:
            ElementTree.SubElement(case, "system-out").text = plain(one.said)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _of_row(comparison: Comparison) -> list[CheckResult]:
    """Without --fail-if: whether each record is valid."""
    states = {"valid": "passed", "suspect": "not resolved", "invalid": "failed"}
    return [
        CheckResult(
            "is valid",
            row.record.target.name,
            row.name,
            states[row.verdict.level],  # type: ignore[arg-type]
            ("; ".join(reason.seen for reason in row.verdict.reasons) or "valid")
            + "; UNLIKE its baseline, compared anyway" * row.is_unfair,
        )
        for row in comparison.rows
    ]
