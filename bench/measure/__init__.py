"""Measuring: clocks, cold starts, memory, the machine's limits, and the statistics of it."""
