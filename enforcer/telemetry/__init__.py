"""What is measured: the ledger retold as spans and metrics. Nothing here can change an answer."""
