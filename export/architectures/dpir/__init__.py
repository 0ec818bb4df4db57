"""DPIR, a dual-prompted restorer on SD3, as we read its paper: no code, weights or keys are public.

``released`` is the network as the paper tells of it, ``deployed`` the same with nothing left to save; between
them stand the recipes by which weights of the one become weights of the other.
"""
