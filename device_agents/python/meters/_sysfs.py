"""Small files of the kernel."""


def text(path):
    """Stripped; "" for a file that is not there or cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
