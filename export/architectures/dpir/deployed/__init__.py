"""DPIR as it is exported: exactly simplified, and cut where the work changes rate."""
