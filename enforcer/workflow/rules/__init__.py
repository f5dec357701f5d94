"""What is asked of evidence: the kinds of rules that a process may use, each a small pure function over what was read.

`table` lists them; `text`, `members` (of JSON) and `across` (several files, git, who acts) hold the functions.
"""
