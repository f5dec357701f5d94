"""Who may act now: when the right to move a task runs out. Holder and token are on the ledger."""
