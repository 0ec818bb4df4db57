"""From a bundle to an FP8 or INT8 bundle, decided by what it does to the picture."""
