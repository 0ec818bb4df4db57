"""Pictures: files, sizes, colours, and the way through the VAE."""
