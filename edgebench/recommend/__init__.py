"""Which file for which board: instruction counts, and the advice that follows from them."""
