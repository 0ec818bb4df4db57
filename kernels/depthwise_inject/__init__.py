"""Tanh-GELU of both image streams, and the LR injection between their MLPs."""
