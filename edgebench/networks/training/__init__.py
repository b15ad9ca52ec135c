"""How networks are trained: one loop for training and fine-tuning, and the evaluation that goes with it.

recipe: every choice of a training, by name or from a file. fit: trains by it. logits: a network's answers.
evaluate: how often they are right.
"""

from edgebench.networks.training.cost import Costing, costing, emissions_g
from edgebench.networks.training.evaluation import evaluate, logits
from edgebench.networks.training.loop import FitOptions, fit
from edgebench.networks.training.placement import device
from edgebench.networks.training.recipes import Recipe, names, recipe
from edgebench.networks.training.state import state_path

__all__ = [
    "Costing",
    "FitOptions",
    "Recipe",
    "costing",
    "device",
    "emissions_g",
    "evaluate",
    "fit",
    "logits",
    "names",
    "recipe",
    "state_path",
]
