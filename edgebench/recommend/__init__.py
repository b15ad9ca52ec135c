"""Which file to deploy on which board: instruction counts, and the advice that follows from them."""
