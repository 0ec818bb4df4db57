"""Weights: where they are read from, and how they are folded."""
