"""What a bundle costs to run: counted from its graphs, and set against what the machine can do."""
