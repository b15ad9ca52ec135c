"""Small networks of many structures, with seeded weights: what becomes of them in each route to a file.

python -m benchmarks.strange_networks prints the table; `networks.ALL` is the list.
"""
