r"""Write a LaTeX table, for booktabs and siunitx (its columns are `S`)."""

from __future__ import annotations

from edgebench.analysis import answer, formatting, report_text
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.ratios import Ratio
from edgebench.schema.estimate import Estimate

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}", "°": r"\textdegree{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_HEAD = r"""% \usepackage{booktabs,siunitx}
\begin{tabular}{llS[table-format=6.3]lS[table-format=3.3]llS[table-format=3.2]S[table-format=7.1]}
\toprule
artifact & target & {p50 / \unit{\micro\second}} & {95\,\%} & {ratio} & {95\,\%} & outcome
  & {accuracy / \unit{\percent}} & {size / \unit{\kilo\byte}} \\
\midrule
"""


def render(comparison: Comparison) -> str:
    rows = "".join(" & ".join(_cells(row)) + r" \\" + "\n" for row in comparison.rows)
    notes = "".join(f"% {' '.join(remark.text.split())}\n" for remark in report_text.remarks(comparison.rows))
    said = "".join(f"% {' '.join(line.split())}\n" for line in answer.of(comparison).lines)
    return f"{said}{_HEAD}{rows}\\bottomrule\n\\end{{tabular}}\n{notes}"


def _cells(row: ComparisonRow) -> list[str]:
    parity = row.record.artifact.parity
    on_host = None if parity is None else parity.accuracy
    accuracy = row.device_accuracy.value if row.device_accuracy else on_host
    outcome = "baseline" if row.is_baseline else row.outcome or ("invalid" if row.verdict.level == "invalid" else "")
    return [
        escaped(row.name),
        escaped(row.record.target.name + report_text.mark(row.record)),
        *_microseconds(row.p50_ns),
        *_ratio(None if row.is_baseline else row.ratio),
        escaped(outcome + (", unlike conditions" if row.is_unfair else "")),
        "{--}" if accuracy is None else f"{100 * accuracy:.2f}",
        f"{row.record.artifact.size_bytes / 1e3:.1f}",
    ]


def _microseconds(found: Estimate | None) -> list[str]:
    if found is None:
        return ["{--}", "--"]
    low, high = found.ends
    ends = "--" if found.low is None else f"{_plain(low / 1e3)}--{_plain(high / 1e3)}"
    return [_plain(found.value / 1e3), ends]


def _ratio(found: Ratio | None) -> list[str]:
    if found is None or found.low is None or found.high is None:
        return ["{--}", "--"]
    ends = f"{found.low:.3f}--{found.high:.3f}"
    return ["{--}" if found.outcome == "not resolved" else f"{found.value:.3f}", ends]


def _plain(value: float) -> str:
    """Siunitx groups digits itself."""
    return formatting.significant(value).replace(",", "")


def escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
