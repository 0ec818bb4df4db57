"""One graph of a whole bundle: a picture and noise in, the restored picture out, with the loop inside."""
