"""The features before a network's last layer, in two dimensions (t-SNE, van der Maaten 2008)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import MissingPackage
from edgebench.networks import data
from edgebench.networks.evaluation import Embedding
from edgebench.networks.evaluation.layers import calls

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.data import Split
    from edgebench.schema.preprocessing import Preprocessing

IMAGES = 500
BATCH = 100
PERPLEXITY = 30
NO_LAST_LAYER = "the network does not end in a fully connected layer"
TOO_FEW = f"t-SNE needs more than {PERPLEXITY} images"


def embedded(model: nn.Module, split: Split, preprocessing: Preprocessing) -> Embedding:
    """t-SNE of some images of a split, the same on every run, or the reason why there is none."""
    import numpy as np
    from torch import nn

    some = data.balanced(split, IMAGES)
    if len(some) <= PERPLEXITY:
        return Embedding(reason=TOO_FEW)
    try:
        from sklearn.manifold import TSNE
    except ModuleNotFoundError:
        return Embedding(reason=str(MissingPackage("t-SNE", "scikit-learn", "studies")))
    name, entered = "", []
    for start in range(0, len(some), BATCH):
        found = calls(model, preprocessing.apply(some.images[start : start + BATCH]), nn.Linear)
        if not found:
            return Embedding(reason=NO_LAST_LAYER)
        name = found[-1].name
        entered.append(found[-1].entered.cpu().numpy())
    points = TSNE(perplexity=PERPLEXITY, init="pca", random_state=0).fit_transform(np.concatenate(entered))
    pairs = tuple((round(float(x), 3), round(float(y), 3)) for x, y in points)
    return Embedding(name, pairs, tuple(some.labels.tolist()))
