"""Inductor: packages that torch compiled ahead of time, on a CPU or a CUDA device."""

NAME = "inductor"
CPU = "cpu"
"""The target of packages that need no GPU; those for one are named after it, as ``sm_90``."""
