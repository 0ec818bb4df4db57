"""What a compiler made of a graph, in its own words: its layers, and what they multiply and move."""
