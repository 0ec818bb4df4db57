"""Architectures that live outside the house, for tests of the register."""
