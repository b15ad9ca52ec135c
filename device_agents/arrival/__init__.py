"""What a board runs before it has the agent: sent as text, for any version of Python."""

from pathlib import Path


def source(name: str) -> str:
    """The program of that name, without its comments."""
    lines = (Path(__file__).parent / (name + ".py")).read_text().splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.startswith(("#", '"""')))
