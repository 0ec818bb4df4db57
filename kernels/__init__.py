"""The model's own two operators, each in every form it needs."""
