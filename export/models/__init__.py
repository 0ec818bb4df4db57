"""DiT4SR's transformer, as published and as simplified."""
