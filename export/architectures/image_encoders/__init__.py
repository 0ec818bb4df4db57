"""Encoders that see pictures, for networks that are prompted by them."""
