"""A study's report: first its claims and the findings, then tables and figures.

One self-contained HTML file, and beside it a Markdown file with everything that is text.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.analysis import html_page, markdown_table
from edgebench.files import output
from edgebench.networks.evaluation import listing
from edgebench.studies.study import figures
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults, VariantRun

if TYPE_CHECKING:
    from edgebench.evaluate import Evaluation
    from edgebench.schema.checkpoint import Checkpoint
    from edgebench.studies.audit import Finding
    from edgebench.studies.study.claims import ClaimVerdict

_TEMPLATE = Path(__file__).with_name("report.html.jinja")
# Colours of the badges, by their text.
BADGES = {
    "reproduced": "valid",
    "not reproduced": "invalid",
    "unsupported": "suspect",
    "wrong": "invalid",
    "doubtful": "suspect",
}
OF_ONE_NETWORK = ("calibration", "confusion", "roc", "grad-cam", "t-sne", "curves")
LONG_TABLE = 20


def write(
    results: Results, names: Sequence[str], findings: Sequence[Finding], claims: Sequence[ClaimVerdict], path: Path
) -> Path:
    """`path` (.html) and the same as .md. names: of the figures, in this order; see `edgebench.studies.study.figures`.

    Raises UnknownName for an unknown figure, and UserError if the files cannot be written.
    """
    sections = _sections(results, names)
    output.write(path, _html(results, sections, findings, claims))
    output.write(path.with_suffix(".md"), _text(results, sections, findings, claims))
    return path


def write_evaluation(opened: Checkpoint, evaluation: Evaluation, path: Path) -> None:
    """The page of one network: its numbers, and those figures of a study that make sense for one network."""
    run = VariantRun(seed=0, checkpoint=opened, file_bytes=opened.path.stat().st_size, evaluation=evaluation)
    alone = VariantResults(opened.name, {"model": evaluation.model, "dataset": evaluation.dataset}, (run,))
    source = f"{evaluation.model} on {evaluation.images:,} {evaluation.split} images of {evaluation.dataset}"
    results = Results(opened.name, opened.name, source, (alone,))
    output.write(path, _html(results, [_summary(evaluation), *_sections(results, OF_ONE_NETWORK)]))


def _summary(evaluation: Evaluation) -> Section:
    rows = tuple(
        (one.name.replace("_", " "), listing.number(one.value), listing.interval(one))
        for one in listing.overall(evaluation)
    )
    text = "Shares are fractions. Intervals are over the choice of images; another seed changes the values by more."
    return Section("Summary", text, ReportTable(("measure", "value", "95 % interval (Wilson)"), rows))


def _sections(results: Results, names: Sequence[str]) -> list[Section]:
    return [section for name in names if (section := figures.render(name, results))]


def _html(
    results: Results, sections: Sequence[Section], findings: Sequence[Finding] = (), claims: Sequence[ClaimVerdict] = ()
) -> str:
    shown, without = _split(sections)
    specs = [section.chart for section in shown if section.chart]
    numbers = itertools.count(1)
    return html_page.render(
        _TEMPLATE,
        specs,
        results=results,
        claims=claims,
        findings=findings,
        shown=[(section, next(numbers) if section.chart else None) for section in shown],
        without=without,
        badges=BADGES,
        columns_of_words=_columns_of_words,
        long_table=LONG_TABLE,
        encoded=lambda png: base64.b64encode(png).decode(),
    )


def _split(sections: Sequence[Section]) -> tuple[list[Section], list[Section]]:
    """Sections that show something, and those that only say why they cannot."""
    shown = [one for one in sections if (one.table and one.table.rows) or one.chart or one.images]
    return shown, [one for one in sections if one not in shown]


def _columns_of_words(table: ReportTable) -> list[bool]:
    """The columns without numbers, which are left-aligned."""
    return [
        not any(row[number][:1].isdigit() or row[number][:1] in ("+", "-") for row in table.rows)
        for number in range(len(table.columns))
    ]


def _text(
    results: Results, sections: Sequence[Section], findings: Sequence[Finding], claims: Sequence[ClaimVerdict]
) -> str:
    lines = [f"# {results.title}", "", results.source]
    if claims:
        lines += ["", "## Claims", ""]
        cells = [(one.standing, f"{one.says} ({one.by})", one.seen, one.why) for one in claims]
        lines += markdown_table.table(("standing", "claim", "what was seen", "why"), cells, left=4)
    if findings:
        lines += ["", "## Findings", ""]
        lines += [f"* **{one.level}** {one.detector}: {one}" for one in findings]
    for section in sections:
        lines += ["", f"## {section.heading}", "", section.text]
        if section.table:
            lines += ["", *markdown_table.table(section.table.columns, section.table.rows)]
    return "\n".join(lines) + "\n"
