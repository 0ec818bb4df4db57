"""Seeded noise, the same as PyTorch draws."""
