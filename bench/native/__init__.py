"""The C interface beside Python's own: what the way through C costs."""
