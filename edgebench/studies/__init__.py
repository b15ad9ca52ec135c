"""Studies of many networks: `study` runs a matrix of them, `audit` looks for known mistakes in published results."""
