"""A Triton Inference Server on loopback, for tests: the real one, where ``make`` has fetched it."""
