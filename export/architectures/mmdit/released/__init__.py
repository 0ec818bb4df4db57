"""SD3's blocks as published, key for key."""
