"""SD3's blocks as they are exported: exactly simplified."""
