"""What was observed: how the files and facts that prove a phase are read, judged and kept."""
