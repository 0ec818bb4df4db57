"""Backbone and control net as they are exported: exactly simplified, and cut where the work changes rate."""
