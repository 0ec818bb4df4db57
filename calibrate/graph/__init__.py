"""Rewriting graphs: Q/DQ pairs, smaller weights, changed bundles."""
