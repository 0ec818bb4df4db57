"""Graphs: tracing a module, rewriting what was traced, and giving it its weights."""
