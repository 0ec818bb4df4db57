"""Every way of choosing scales, side by side."""
