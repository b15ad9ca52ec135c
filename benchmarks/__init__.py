"""What edgebench itself costs. Each file prints one table; docs/benchmarks.md holds the last ones.

python -m benchmarks.overhead      what the timed loop adds to a bare C loop
python -m benchmarks.agent_cost    the agent's size, start, processor time, and what a second deploy sends
"""
