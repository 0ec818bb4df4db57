"""Plans before they run: what the compiler says of them, and what that predicts on a card."""
