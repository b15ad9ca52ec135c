"""Detectors, one file each: findings show the file's name, and `edgebench audit --only` takes it.

A detector has one function:

    def find(evidence) -> Iterator[Finding]

and a docstring: the mistake in its first line, the study in which it was seen, and what would be right. It
yields nothing for evidence that it does not understand. docs/studies.md describes the studies.
"""
