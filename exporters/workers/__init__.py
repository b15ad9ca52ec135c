"""The processes that converters and runtimes run in."""
