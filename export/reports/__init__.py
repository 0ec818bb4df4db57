"""Reports on checkpoints and bundles."""
