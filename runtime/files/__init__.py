"""Files: written whole or not at all, read within bounds, and the folders that are the user's own."""
