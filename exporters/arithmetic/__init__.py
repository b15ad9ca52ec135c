"""Arithmetic shared by both formats: folding scales and shifts, folding preprocessing, ranges for eight bits."""
