"""Many pictures: which there are, the job that restores them, and its ledger."""
