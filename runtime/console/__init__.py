"""What commands share: running, tables, progress."""
