"""dit4sr-tiny: a small DiT4SR and its VAE, trained from scratch on what a Python installation brings along.

It exists so that every claim about accuracy is made on restored photographs instead of noise. One command,
``python -m dit4sr.export.tiny OUTPUT``, draws the data, trains the VAE and the transformer, and writes the
checkpoint. The same seed gives the same training.
"""

from pathlib import Path

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""Folder of the trained checkpoint, in FP16."""
