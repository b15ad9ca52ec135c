"""Networks on this machine: models, data sets, training, pruning, evaluation and packing."""
