"""From what was observed to quantisation parameters."""
