"""One export, step by step: data, the parent's answers, conversion, candidates, proof, publication."""
