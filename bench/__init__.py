"""Latency, accuracy and roofline reports, with the baselines they stand against."""
