"""Studies of many networks: `study` runs a matrix of them, `audit` looks for mistakes in what others published."""
