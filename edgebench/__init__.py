"""edgebench turns a trained network into files that edge devices run, runs them there, and says what they cost.

The one story, one module and one function each:

    train ──> checkpoint ──prune──> checkpoint ──export──> bundle ──deploy──> records ──compare──> report
"""

__version__ = "0.1.0"
