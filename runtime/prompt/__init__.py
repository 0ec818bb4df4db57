"""Words: captions, wording, and the encoders that turn them into numbers."""
