"""Inductor: packages that torch compiled ahead of time, on a CPU or a CUDA device."""
