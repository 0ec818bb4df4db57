"""A page to try a bundle: drop a photo, restore it, look at it, take it home. Nothing leaves the machine."""
