"""Who was told what, and who vouches: digests of prompts, keys, approvals and statements."""
