"""How networks are trained: one loop for training and for fine-tuning, and the evaluation beside it.

Recipe: every choice of a training, as it is written into the checkpoint. fit: run it. logits: what a network answers.
evaluate: how often that is right.
"""

from edgebench.training.loop import Recipe, device, evaluate, fit, logits

__all__ = ["Recipe", "device", "evaluate", "fit", "logits"]
