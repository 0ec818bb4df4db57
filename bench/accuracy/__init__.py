"""How true the pictures are: rows of figures, and the gates that hold them."""
