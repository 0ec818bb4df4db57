"""Serving: a bundle as a model of NVIDIA's Triton Inference Server, and what answers its requests."""
