"""What else a user could run, and each optimisation switched off."""
