"""How one asks: each way in parses a question, passes it on and prints the answer, and decides nothing."""
