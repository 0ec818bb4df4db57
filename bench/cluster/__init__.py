"""Jobs over a cluster, measured: a real one of two nodes on this machine, and predictions beyond it."""
