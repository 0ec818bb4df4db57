"""Plans for RTX cards, built on any machine: the compiler needs neither a GPU nor a driver."""
