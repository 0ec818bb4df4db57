"""What a graph costs, what its layers take, and how near that is to the limits of the machine."""
