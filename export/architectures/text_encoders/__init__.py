"""The text encoders of SD3.5: two CLIPs and a T5, with their tokenizers."""
