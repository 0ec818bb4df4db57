"""Reports on checkpoints."""
