"""The transformer as published, key for key: the truth of the network."""
