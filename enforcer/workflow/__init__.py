"""What may happen: the process, the decision and the fold. Pure; everything from outside comes in as values."""
