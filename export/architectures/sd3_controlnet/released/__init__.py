"""Backbone and control net as published, key for key: the truth of the network."""
