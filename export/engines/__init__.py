"""Engines: a bundle's components compiled for one backend. A folder for each kind, and one map of them."""
