"""Arithmetic that both formats share: folding scales and shifts, folding preprocessing, ranges for eight bits."""
