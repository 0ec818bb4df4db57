"""DPIR as we read the paper, under keys of our own, where SD3 has none: the truth of the network."""
