"""Joint attention over the noise, LR and text streams."""
