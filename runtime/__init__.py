"""Photos in, photos out, from a bundle and without PyTorch in the process."""
