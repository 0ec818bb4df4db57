"""What networks of SD3's kind have in common, MM-DiT: the parts that each of them is built of."""
