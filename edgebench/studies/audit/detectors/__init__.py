"""Detectors, one file each: the file's name is what a finding shows and what `edgebench audit --only` takes.

A detector has one function:

    def find(evidence) -> Iterator[Finding]

and a docstring: the mistake in its first line, the study in which it was seen, what would be right. It yields nothing
for evidence that does not have what it looks at. docs/studies.md has the studies.
"""
