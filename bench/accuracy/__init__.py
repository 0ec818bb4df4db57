"""How true the pictures are."""
