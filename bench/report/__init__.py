"""A record as tables, plots and pages, and two records compared."""
