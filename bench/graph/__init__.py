"""What a graph costs and what its layers take."""
