"""What happened: the append-only, hash-chained log, its format, its stores and its verification."""
