"""A gate for continuous integration: expressions that a comparison passes, fails, or does not resolve."""

from edgebench.analysis.gate.expression import Check, parse
from edgebench.analysis.gate.judge import check_names, judge

__all__ = ["Check", "check_names", "judge", "parse"]
