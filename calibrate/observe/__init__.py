"""Observing every activation while the runtime restores photos."""
