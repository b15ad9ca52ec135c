"""`python -m edgebench` is the command `edgebench`."""

from edgebench.cli import main

main()
