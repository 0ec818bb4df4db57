"""A bundle as it lies on the disk: its manifest, and the files that it vouches for."""
