"""DiT4SR: SD3.5-Medium with an LR stream in every block."""
