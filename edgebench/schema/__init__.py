"""What is written to disk or crosses the wire: types, their limits, and how older files are read."""
