"""Which layers stay in half precision, decided by restored photos."""
