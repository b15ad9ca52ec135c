"""What edgebench itself costs. Each file prints one table; docs/benchmarks.md holds the last ones.

python -m benchmarks.overhead      what the timed loop adds to a bare C loop
python -m benchmarks.agent_cost    the agent's size, start, processor time, and what a second deploy sends
python -m benchmarks.export        INT8 files against fp32 files, forms that export tries
python -m benchmarks.peers         INT8 files against those that the tools make at their defaults
python -m benchmarks.export_time   seconds and memory of an export, against the tools one after another
python -m benchmarks.instructions  instructions on emulated ARM cores; what `export --for` goes by
"""
