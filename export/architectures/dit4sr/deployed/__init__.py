"""The same network with nothing left to save, cut where the work changes rate: what we export."""
