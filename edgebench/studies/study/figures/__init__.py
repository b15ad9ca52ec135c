"""Tables and figures of a study's report, one file each: the file's name is what study files list.

A plugin has one function:

    def render(results: Results) -> Section | None        None: the study has nothing to show
"""

from __future__ import annotations

from edgebench import plugins
from edgebench.studies.study.results import Results, Section


def names() -> list[str]:
    return plugins.names("edgebench.studies.study.figures")


def render(name: str, results: Results) -> Section | None:
    """Raises UnknownName for an unknown name."""
    section: Section | None = plugins.load("edgebench.studies.study.figures", name, kind="figure").render(results)
    return section
