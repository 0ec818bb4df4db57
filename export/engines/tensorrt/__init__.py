"""TensorRT plans: built from a bundle's graphs, on the machine that is to run them.

The graph says everything: precision, and which of our operators are kernels of ours. A plan adds sizes, a
search for kernels, and an account of what became of the graph.
"""
