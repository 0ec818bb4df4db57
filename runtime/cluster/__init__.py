"""A job over many machines, with Ray: the same pictures, records and ledger as one process makes."""
